package cronadapter

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/redlock"
)

// Wrap returns a wrapper for a job whose code cannot be changed. Prefer
// [Adapter.Add] otherwise: a cron.Job has no context, so it does not learn that its
// lease is lost, or of Stop.
//
// The tick comes from the job's entry in its cron. So the adapter must know the cron
// ([Adapter.Attach], before the cron is started), and the wrapper must be the first,
// outermost one of its chain. That is either a chain of the job's own, inside the
// cron's:
//
//	c.AddJob(spec, cron.NewChain(wrap, cron.SkipIfStillRunning(logger)).Then(job))
//
// or the cron's chain, if the cron has only one job:
//
//	c := cron.New(cron.WithChain(wrap, cron.Recover(logger)))
//
// "@every" cannot be aligned here; it gets a spacing, as under
// [WithoutAlignment].
//
// A wrapper belongs to one job, which may have several entries. A second job that it
// is applied to never runs: it gets a redlock.Refused event at once and at each tick,
// as a wrapper cannot return an error. Wrap refuses a name and options as Add does,
// and redlock.WithCatchUp.
func (a *Adapter) Wrap(name string, opts ...redlock.JobOption) (cron.JobWrapper, error) {
	r, err := a.newRunner(name, pace{}, opts, func(r *runner, tick time.Time) {
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
		return nil, err
	}
	var used atomic.Bool
	return func(inner cron.Job) cron.Job {
		if used.Swap(true) {
			never := cron.FuncJob(func() {
				r.refuse(time.Time{}, invalid("the wrapper was applied to a second job, which never runs; call Adapter.Wrap with another name for each job"))
			})
			never()
			return never
		}
		return &wrapped{runner: r, inner: inner}
	}, nil
}

type wrapped struct {
	runner *runner
	inner  cron.Job
}

func (w *wrapped) Run() {
	r := w.runner
	entry, ok := r.a.listing.find(r)
	if !ok {
		r.refuse(time.Time{}, errNoEntry)
		return
	}
	t := r.take(func() time.Time { return entry.Prev })
	if err := w.setPace(entry); err != nil {
		r.refuse(t.tick, err)
		return
	}
	_ = r.run(t, func(context.Context) error { w.inner.Run(); return nil })
}

// setPace gives the runner the pace of the entry's schedule, unless it has that.
func (w *wrapped) setPace(entry found) error {
	if same(w.runner.pace.Load().schedule, entry.Schedule) {
		return nil
	}
	now := w.runner.a.cfg.now().In(entry.cron.Location())
	if err := w.runner.setPace(paceOf(entry.Schedule, now)); err != nil {
		return err
	}
	w.runner.checkZone(now)
	return nil
}

// same reports whether two schedules are equal, and false if they cannot be compared.
func same(one, other Schedule) bool {
	a, b := reflect.ValueOf(one), reflect.ValueOf(other)
	return a.IsValid() && a.Comparable() && b.IsValid() && b.Comparable() && one == other
}
