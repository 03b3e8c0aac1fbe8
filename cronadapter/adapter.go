package cronadapter

import (
	"context"
	"fmt"
	"sync"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/redlock"
)

// Adapter makes jobs for cron that run once per tick among all replicas. One
// Adapter serves a process; it is safe for concurrent use.
type Adapter struct {
	locker   *redlock.Locker
	cfg      config
	ctx      context.Context // of every run; ends with Stop
	end      context.CancelCauseFunc
	listing  *listing
	runners  sync.Map // by name
	removals sync.Map // runners by name, of the jobs removed in the last seconds

	mu       sync.Mutex     // no catching begins once ctx has ended
	catching sync.WaitGroup // runs that cron does not know of
	zone     sync.Once      // warns about the time zone
}

// New returns an adapter over locker, which it does not close. Errors match
// redlock.ErrInvalid.
//
// What happens to jobs is told to the Locker's observer, without one in the
// log: redlock's events, and this package's [Warning].
func New(locker *redlock.Locker, opts ...Option) (*Adapter, error) {
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	cfg, err := defaults().with(opts)
	if err != nil {
		return nil, err
	}
	if _, err := locker.NewJob("any", cfg.jobs...); err != nil {
		return nil, fmt.Errorf("cronadapter: WithJobOptions: %w", err)
	}
	a := &Adapter{locker: locker, cfg: cfg, listing: newListing()}
	a.ctx, a.end = context.WithCancelCause(context.Background())
	return a, nil
}

// Add adds job to c under a name, with a spec as in cron.AddFunc. job gets a
// context that ends when its lease is lost (with a cause that matches
// redlock.ErrLost) or at [Adapter.Stop] ([ErrStopped]), and from which
// redlock.TickFrom and redlock.LeaseFrom read. An error that it returns is the
// Err of its redlock.Ended event. A panic unlocks and goes on to the cron.Recover of c's
// chain, if there is one.
//
// The name must be the same on every replica and is required: it is the key in
// Redis. opts override the Locker's for this job.
//
// An error matches redlock.ErrInvalid: the name is empty or used by another job
// on the same redlock.Locker, the spec cannot be read or never activates, or an
// option is refused. Nothing was added then.
func (a *Adapter) Add(c *cron.Cron, name, spec string, job func(ctx context.Context) error, opts ...redlock.JobOption) (cron.EntryID, error) {
	if c == nil {
		return 0, invalid("cron is nil for job %q; make one with cron.New", name)
	}
	schedule, err := a.parse(spec)
	if err != nil {
		return 0, err
	}
	j, err := a.newJob(name, wordsOf(spec, c.Location()), schedule, job, opts)
	if err != nil {
		return 0, err
	}
	j.added = true
	a.listing.attach(c)
	return c.Schedule(j, j), nil
}

// AddFunc is [Adapter.Add] for a function as cron.AddFunc takes it, which is
// told neither that its lease is lost nor of Stop:
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

// Remove takes the job of this name out of c, so that no later tick runs, and
// frees the name, even if c has no such job. It reports whether c had one. c may
// be nil, to free the name of a job that was removed from a fork's cron.
//
// A run that is under way goes on. A tick that was fired and still waits, for a
// quorum or for a take-over, is given up ten seconds later, unless a job of the
// same name was added by then. A job of [Adapter.Add] or [Adapter.NewJob] that
// comes back by then also runs the ticks that came in between. So a reload loses
// no tick, unless several came in between and their runs would overlap.
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
		a.noteRemoval(r.(*runner))
	}
	return found
}

// Attach tells the adapter where to look for the entries of jobs, and so for the
// chains around them. [Adapter.Add] does it, jobs of [Adapter.Wrap] need it. Runs
// of an [Adapter.NewJob] job that cron does not fire (triggered, caught up, after a
// reload) go through its chain only then; else their panics end there, since
// nobody knows whether the chain has a cron.Recover. Attach panics when c is nil.
func (a *Adapter) Attach(c *cron.Cron) {
	if c == nil {
		panic("cronadapter: Attach got a nil *cron.Cron; pass the one whose jobs are wrapped")
	}
	a.listing.attach(c)
}

// Stop stops c, a *cron.Cron of robfig/cron or of a fork, as c.Stop does, and
// then tells the adapter's running jobs: their contexts end with [ErrStopped].
// It does not wait. The context that it returns ends when the running
// jobs have returned and their leases were unlocked; close the Locker after
// that.
//
// It is for the end of the adapter: no job of it runs any more, also not on
// other crons, its names are free, and further jobs are refused.
func (a *Adapter) Stop(c interface{ Stop() context.Context }) context.Context {
	stopped := c.Stop()
	a.mu.Lock()
	a.end(ErrStopped)
	a.mu.Unlock()
	a.runners.Range(func(_, r any) bool { r.(*runner).free(); return true })
	ended, end := context.WithCancel(context.Background())
	go func() {
		<-stopped.Done()
		a.catching.Wait()
		end()
	}()
	return ended
}
