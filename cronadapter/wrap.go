package cronadapter

import (
	"context"
	"sync/atomic"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/redlock"
)

// Wrap returns a wrapper for a job whose code cannot be changed. Prefer
// [Adapter.Add] where it can: a cron.Job has no context, so it is told neither
// that its lease is lost nor of Stop.
//
// The tick comes from the job's entry in its cron. For that the adapter must
// know the cron ([Adapter.Attach], before it is started), and the wrapper must
// be the first, the outermost, of its chain. Either of the job's own, inside
// whatever the cron's chain has:
//
//	c.AddJob(spec, cron.NewChain(wrap, cron.SkipIfStillRunning(logger)).Then(job))
//
// or of the cron's, when it has one job:
//
//	c := cron.New(cron.WithChain(wrap, cron.Recover(logger)))
//
// "@every" cannot be aligned here; it gets a spacing, as under
// [WithoutAlignment].
//
// A wrapper belongs to one job. Inside a chain it can return no error, so a
// second job that it is applied to never runs, and the logger is told so at
// once and at each of its ticks. The errors of Wrap itself are those of Add.
func (a *Adapter) Wrap(name string, opts ...redlock.JobOption) (cron.JobWrapper, error) {
	m, err := a.newMutex(name, opts)
	if err != nil {
		return nil, err
	}
	var used atomic.Bool
	return func(inner cron.Job) cron.Job {
		if used.Swap(true) {
			never := refusedJob{run{a: a, name: name}}
			never.Run()
			return never
		}
		return &wrapped{a: a, name: name, opts: opts, mutex: m, inner: inner}
	}, nil
}

// refusedJob is the second job of one wrapper.
type refusedJob struct{ run run }

func (r refusedJob) Run() { r.run.fail(errUsed, "not run") }

type wrapped struct {
	a     *Adapter
	name  string
	opts  []redlock.JobOption
	mutex *redlock.Job
	inner cron.Job
}

func (w *wrapped) Run() {
	entry, err := w.entry()
	run := run{a: w.a, name: w.name, tick: entry.Prev}
	mutex := w.mutex
	if every, ok := entry.Schedule.(cron.ConstantDelaySchedule); ok && err == nil {
		mutex, err = w.a.locker.NewJob(w.name, spaced(every, w.opts)...)
	}
	if err != nil {
		run.fail(err, "not run")
		return
	}
	run.under(mutex, func(context.Context) error {
		w.inner.Run()
		return nil
	})
}

// entry finds the job in its cron. cron fires a job before it notes the tick,
// but it answers on the goroutine that does both, so afterwards.
func (w *wrapped) entry() (cron.Entry, error) {
	w.a.mu.Lock()
	crons := w.a.crons
	w.a.mu.Unlock()
	for _, c := range crons {
		for _, e := range c.Entries() {
			if e.Job == cron.Job(w) || e.WrappedJob == cron.Job(w) {
				return e, nil
			}
		}
	}
	return cron.Entry{}, errNoEntry
}
