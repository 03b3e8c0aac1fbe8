package cronadapter

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/internal/ticks"
	"github.com/redtick/redtick/redlock"
)

// Adapter makes jobs for cron that run once per tick among all replicas. One Adapter
// serves a process. It is safe for concurrent use.
type Adapter struct {
	locker   *redlock.Locker
	cfg      config
	ctx      context.Context // of every run; canceled by Stop
	cancel   context.CancelCauseFunc
	listing  listing
	runners  sync.Map // by name
	removals sync.Map // by name, the claims of jobs removed within reloadLimit

	mu       sync.Mutex     // nothing is added to spawned once ctx is canceled
	spawned  sync.WaitGroup // runs that cron did not start
	warnZone sync.Once
}

// New returns an adapter that uses locker and does not close it. Errors match
// redlock.ErrInvalid.
//
// The Locker's observer gets redlock's events and this package's [Warning]. Without an
// observer, warnings and errors are logged.
func New(locker *redlock.Locker, opts ...Option) (*Adapter, error) {
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	a := &Adapter{locker: locker, cfg: cfg}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	if _, err := (&runner{a: a, name: "any"}).newJob(&pace{}, 0); err != nil {
		return nil, fmt.Errorf("cronadapter: WithJobOptions: %w", err)
	}
	return a, nil
}

// Add adds job to c under a name, with a spec as in cron.AddFunc. The job's
// context is canceled when its lease is lost (the cause matches redlock.ErrLost)
// and by [Adapter.Stop] ([ErrStopped]). It carries the tick (redlock.TickFrom) and
// the lease (redlock.LeaseFrom). An error that job returns is the Err of its
// redlock.Ended event. A panic releases the lease and goes on to the cron.Recover
// of c's chain, if there is one.
//
// The name is required and must be the same on every replica: it is the key in
// Redis. opts override the Locker's for this job.
//
// Add returns an error that matches redlock.ErrInvalid, and adds nothing, when the
// name is empty or used by another job on the same redlock.Locker, when the spec
// cannot be parsed or never activates, or when an option is invalid.
func (a *Adapter) Add(c *cron.Cron, name, spec string, job func(ctx context.Context) error, opts ...redlock.JobOption) (cron.EntryID, error) {
	if c == nil {
		return 0, invalid("cron is nil for job %q; make one with cron.New", name)
	}
	schedule, err := ticks.Parse(a.cfg.parser.Parse, spec)
	switch {
	case err != nil:
		return 0, invalid("spec %q: %w; a cron with a parser of its own needs WithParser here too", spec, err)
	case schedule == nil || schedule.Next(time.Now()).IsZero():
		return 0, invalid("spec %q does not activate within five years; is there such a date?", spec)
	}
	words := spec // for readers of the history
	if !strings.HasPrefix(spec, "@every") && !strings.Contains(spec, "TZ=") {
		words += " " + c.Location().String()
	}
	j, err := a.newJob(name, words, schedule, job, opts)
	if err != nil {
		return 0, err
	}
	j.zone = c.Location()
	a.listing.attach(c)
	return c.Schedule(j, j), nil
}

// AddFunc is [Adapter.Add] for a function as cron.AddFunc takes it. Without a
// context, the function does not learn that its lease is lost, or of Stop.
//
//	c.AddFunc("0 9 * * *", report)                    // runs on every replica
//	adapter.AddFunc(c, "report", "0 9 * * *", report) // runs on one
//
// For a cron.Job, or a chain, pass its Run.
func (a *Adapter) AddFunc(c *cron.Cron, name, spec string, job func(), opts ...redlock.JobOption) (cron.EntryID, error) {
	if job == nil {
		return 0, invalid("the function of job %q is nil", name)
	}
	return a.Add(c, name, spec, func(context.Context) error { job(); return nil }, opts...)
}

// Remove removes the named job from c and frees its name. It reports whether c had
// the job; the name is freed either way. c may be nil, to free the name of a job
// that was removed from a fork's cron.
//
// A run in progress goes on. A fired tick that still waits for a quorum or a
// take-over is given up after ten seconds, unless a job of the same name is added by
// then. Such a job, if it is from [Adapter.Add] or [Adapter.NewJob], also runs the
// ticks that came in between. So a reload loses no tick, unless several came in
// between and their runs would overlap.
func (a *Adapter) Remove(c *cron.Cron, name string) (found bool) {
	if c != nil {
		for _, e := range c.Entries() {
			if r := runnerOf(e); r != nil && r.a == a && r.name == name {
				c.Remove(e.ID)
				found = true
			}
		}
	}
	if r, ok := a.runners.LoadAndDelete(name); ok {
		r.(*runner).remove()
	}
	return found
}

// Attach makes the adapter look in c for its jobs' entries and their chains.
// [Adapter.Add] attaches by itself. [Adapter.Wrap] requires it. For
// [Adapter.NewJob] it is optional: without it, runs that cron does not fire
// (triggers, catch-ups, ticks of a reload) bypass the job's chain, and their panics
// are recovered, as the chain may have a cron.Recover. Attach panics when c is nil.
func (a *Adapter) Attach(c *cron.Cron) {
	if c == nil {
		panic("cronadapter: Attach got a nil *cron.Cron; pass the one whose jobs are wrapped")
	}
	a.listing.attach(c)
}

// Stop calls c.Stop, where c is a *cron.Cron of robfig/cron or of a fork, and
// cancels the contexts of the adapter's running jobs with [ErrStopped]. A tick that
// this replica has not been granted yet is left to the others; it asks for one up to
// three times [DefaultSpread] late. Stop does not wait: the context that it returns
// is done when the jobs have returned and their leases are released. Close the Locker
// after that.
//
// Stop is final. No job of the adapter runs again, on any cron; the names are
// free, and new jobs are refused.
func (a *Adapter) Stop(c interface{ Stop() context.Context }) context.Context {
	stopped := c.Stop()
	a.mu.Lock()
	a.cancel(ErrStopped)
	a.mu.Unlock()
	a.runners.Range(func(_, r any) bool { r.(*runner).free(); return true })
	ended, end := context.WithCancel(context.Background())
	context.AfterFunc(stopped, func() {
		a.spawned.Wait()
		end()
	})
	return ended
}
