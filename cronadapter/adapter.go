package cronadapter

import (
	"context"
	"slices"
	"sync"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/redlock"
)

// Adapter makes jobs for cron that run once per tick among all replicas. One
// Adapter serves a process; it is safe for concurrent use.
type Adapter struct {
	locker *redlock.Locker
	cfg    config
	ctx    context.Context // of every run; ends with Stop
	end    context.CancelCauseFunc

	mu    sync.Mutex
	names map[string]bool
	crons []*cron.Cron
}

// New returns an adapter over locker, which it does not close. Errors match
// redlock.ErrInvalid.
func New(locker *redlock.Locker, opts ...Option) (*Adapter, error) {
	if locker == nil {
		return nil, invalid("locker is nil; make one with redlock.New")
	}
	cfg, err := defaults().with(opts)
	if err != nil {
		return nil, err
	}
	a := &Adapter{locker: locker, cfg: cfg, names: make(map[string]bool)}
	a.ctx, a.end = context.WithCancelCause(context.Background())
	return a, nil
}

// Add adds job to c under a name, with a spec as in cron.AddFunc. job gets a
// context that ends when its lease is lost (with a cause that matches
// redlock.ErrLost) or at [Adapter.Stop] ([ErrStopped]), and from which
// [TickFrom] and [LeaseFrom] read. Its error goes to the logger. A panic gives
// the lease back and goes on to the cron.Recover of c's chain, if there is one.
//
// The name must be the same on every replica and is required: it is the key in
// Redis. opts override the Locker's for this job.
//
// An error matches redlock.ErrInvalid: the name is empty or used by another job
// of this adapter, the spec cannot be read or never activates, or an option is
// refused. Nothing was added then.
func (a *Adapter) Add(c *cron.Cron, name, spec string, job func(ctx context.Context) error, opts ...redlock.JobOption) (cron.EntryID, error) {
	if c == nil {
		return 0, invalid("cron is nil for job %q; make one with cron.New", name)
	}
	schedule, err := a.parse(spec)
	if err != nil {
		return 0, err
	}
	j, err := a.NewJob(name, schedule, job, opts...)
	if err != nil {
		return 0, err
	}
	return c.Schedule(j, j), nil
}

// Remove takes the job of this name out of c, so that no later tick runs, and
// frees the name, also when c has no such job. A run that is under way goes on.
// It tells whether c had one.
func (a *Adapter) Remove(c *cron.Cron, name string) (found bool) {
	for _, e := range c.Entries() {
		if a.named(name, e.Schedule) || a.named(name, e.Job) || a.named(name, e.WrappedJob) {
			c.Remove(e.ID)
			found = true
		}
	}
	a.free(name)
	return found
}

func (a *Adapter) named(name string, part any) bool {
	switch p := part.(type) {
	case *Job:
		return p.a == a && p.name == name
	case *wrapped:
		return p.a == a && p.name == name
	}
	return false
}

// Attach tells the adapter where to look for the entries of jobs under
// [Adapter.Wrap]. It is not needed for other jobs.
func (a *Adapter) Attach(c *cron.Cron) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.crons, c) {
		a.crons = append(a.crons, c)
	}
}

// Stop stops c as c.Stop does, and then tells the adapter's running jobs: their
// contexts end with [ErrStopped]. It does not wait. The context that it returns,
// c's own, ends when the running jobs have returned and their leases were given
// back; close the Locker after that.
//
// It is for the end of the process: no job of the adapter runs any more, also
// not on other crons.
func (a *Adapter) Stop(c *cron.Cron) context.Context {
	stopped := c.Stop()
	a.end(ErrStopped)
	return stopped
}

// reserve makes sure that a name is used once.
func (a *Adapter) reserve(name string) error {
	if name == "" {
		return invalid("name is empty; every job needs its own, the same on all replicas: it is the key of its lock")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.names[name] {
		return invalid("name %q belongs to another job of this adapter; two jobs of one name would take each other's ticks: choose another, or Remove that one first", name)
	}
	a.names[name] = true
	return nil
}

func (a *Adapter) free(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.names, name)
}
