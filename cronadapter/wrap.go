package cronadapter

import (
	"context"
	"sync/atomic"
	"time"

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
// second job that it is applied to never runs; that is an event at once and at
// each of its ticks. The errors of Wrap itself are those of Add.
func (a *Adapter) Wrap(name string, opts ...redlock.JobOption) (cron.JobWrapper, error) {
	r, err := a.newRunner(name, pace{}, opts)
	if err != nil {
		return nil, err
	}
	if r.job.CatchUp() > 0 {
		a.Remove(nil, name)
		return nil, invalid("WithCatchUp does not go with Wrap, which knows no schedule before its first tick, for job %q; use Add or NewJob", name)
	}
	var used atomic.Bool
	err = r.listen(func(tick time.Time) {
		r.spawn(func() {
			entry, ok := a.listing.find(r)
			switch {
			case !ok:
				r.refuse(tick, errNoEntry)
			case !entry.Next.IsZero(): // its cron was started
				r.passAll(&turn{tick: tick, triggered: true}, entry.WrappedJob, func() time.Time {
					now, _ := a.listing.find(r)
					return now.Prev
				})
			}
		})
	})
	if err != nil {
		a.Remove(nil, name)
		return nil, err
	}
	return func(inner cron.Job) cron.Job {
		if used.Swap(true) {
			never := cron.FuncJob(func() { r.refuse(time.Time{}, errUsed) })
			never()
			return never
		}
		return &wrapped{runner: r, inner: inner}
	}, nil
}

type wrapped struct {
	runner *runner
	inner  cron.Job
	paced  atomic.Bool // the runner follows the entry's schedule
}

func (w *wrapped) Run() {
	r := w.runner
	entry, ok := r.a.listing.find(r)
	if !ok {
		r.refuse(time.Time{}, errNoEntry)
		return
	}
	t := r.take()
	if t == nil {
		t = &turn{tick: entry.Prev}
	}
	if err := w.follow(entry); err != nil {
		r.refuse(t.tick, err)
		return
	}
	_ = r.run(t, func(context.Context) error { w.inner.Run(); return nil })
}

// follow looks at the entry's schedule when it is first seen.
func (w *wrapped) follow(entry found) error {
	if w.paced.Load() {
		return nil
	}
	now := w.runner.a.cfg.now().In(entry.cron.Location())
	if err := w.runner.follow(paceOf(entry.Schedule, now)); err != nil {
		return err
	}
	w.paced.Store(true)
	w.runner.checkZone(now)
	return nil
}
