package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/redlock"
)

// catchesUp reports whether the job may have missed ticks to run.
func (l *jobLocker) catchesUp() bool { return l.locker.catchesUp || len(l.owed) > 0 }

// catchUp runs the newest missed tick, if there is one, in a goroutine of its own.
// All replicas do so at the same time, and the claim decides.
func (l *jobLocker) catchUp() {
	if !l.catchesUp() || l.looks.Add(1) > 1 {
		return // one that looks already does so once more: another tick may have been missed by now
	}
	go func() {
		for asked := int64(1); asked > 0; asked = l.looks.Add(-asked) {
			asked = l.looks.Load()
			l.look()
		}
	}()
}

func (l *jobLocker) look() {
	l.mu.Lock()
	ctx, job := l.alive, l.redlock
	l.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	l.runOwed(ctx)
	if job.CatchUp() == 0 {
		return
	}
	var odd error
	tick, err := job.Missed(ctx, func() (tick time.Time) {
		tick, odd = l.newestMissed(ctx, l.locker.clock.Now(), job.CatchUp())
		return tick
	})
	switch {
	case ctx.Err() != nil:
	case errors.Is(odd, gocron.ErrJobNotFound):
		l.end() // gocron has removed the job by itself
	case odd != nil:
		l.locker.warn(l.name, odd)
	case err != nil:
		l.locker.locker.Report(redlock.Event{Kind: redlock.Refused, Name: l.name, Err: err})
	case !tick.IsZero() && l.locked(): // gocron may be full, or drop the job's runs silently, until the tick is too old
		l.runTicks(ctx, job.CatchUp()-wall(l.locker.clock.Now()).Sub(wall(tick)), false, tick)
	}
}

// newestMissed returns the newest tick of the schedule that has come, or zero if it is older than within. It plans anew when the next
// tick has come, and when the clock was set back.
func (l *jobLocker) newestMissed(ctx context.Context, now time.Time, within time.Duration) (tick time.Time, err error) {
	p := &l.planned
	if p.newest.IsZero() || wall(now).Before(wall(p.newest)) || !wall(now).Before(wall(p.next)) {
		if *p, err = l.plan(ctx, now, within); err != nil {
			return time.Time{}, err
		}
	}
	if wall(now).Sub(wall(p.newest)) > within {
		return time.Time{}, nil
	}
	return p.newest, nil
}

// repeatedHour is more than clocks are ever set back by at the end of summer time.
const repeatedHour = 3 * time.Hour

// plan is what gocron would have done with a job.
type plan struct {
	newest, next time.Time     // the ticks around an instant, or zero
	gap          time.Duration // the shortest time between ticks, or 0
}

// plan returns the newest instant up to now at which gocron would have run the job,
// and the next one. It has gocron plan the job on a clock that is set back, by
// within at most.
func (l *jobLocker) plan(ctx context.Context, now time.Time, within time.Duration) (found plan, err error) {
	select {
	case l.queries <- struct{}{}:
		defer func() { <-l.queries }()
	case <-ctx.Done():
		return found, ctx.Err()
	}
	e := l.scheduler.examiner
	p, err := e.planSpec(ctx, l.job, l.spec)
	if err != nil {
		return found, err
	}
	for back := time.Minute; ctx.Err() == nil; back = max(2*back, found.gap) { // once it has ended, the job may be gone
		found, err = e.planFrom(ctx, p, now.Add(-min(back, within)), now)
		if err != nil || !found.newest.IsZero() || back >= within {
			break
		}
	}
	if before := found.newest.Add(-repeatedHour); err == nil && !found.newest.IsZero() && offset(found.newest) < offset(before) {
		found, err = e.planFrom(ctx, p, before, now) // gocron skips the second pass of the hour if it was up for the first
	}
	if err != nil || found.newest.IsZero() {
		return found, err
	}
	// Ticks that count from the start of a replica change with the start.
	other, err := e.planFrom(ctx, p, found.newest.Add(-17*time.Millisecond), now)
	if err != nil || !other.newest.Equal(found.newest) {
		return found, errors.Join(err, errOwnTicks)
	}
	return found, nil
}

func offset(t time.Time) (seconds int) {
	_, seconds = t.Zone()
	return seconds
}

// jobSpec is what a job was made from, to plan its ticks again.
type jobSpec struct {
	definition gocron.JobDefinition
	options    []gocron.JobOption
	createdAt  time.Time
}

// planSpec returns a spec with the same schedule, or errOwnTicks if the job's ticks count from its start. All jobs of a cron definition
// share its parser, which must not be used while gocron uses it, so gocron's own parser takes its place.
func (e *examiner) planSpec(ctx context.Context, job gocron.Job, p jobSpec) (_ jobSpec, err error) {
	var ticks []time.Time
	switch schedule := job.Schedule().(type) {
	case gocron.CronJobSchedule:
		if ticks, err = askBusy(ctx, func() ([]time.Time, error) { return job.NextRuns(3) }); err != nil {
			return p, err
		}
		own := gocron.WithCronImplementation(gocron.NewDefaultCron(true))
		p.definition, p.options = gocron.CronJob(schedule.Crontab, true), append(slices.Clip(p.options), own)
	case gocron.DurationJobSchedule:
		return p, nil // it may be Aligned, which only the plan shows
	}
	if !common(job.Schedule(), ticks, e.zone) {
		return p, errOwnTicks
	}
	return p, nil
}

var errOwnTicks = fmt.Errorf("%w: the job's ticks count from the start of its replica, so missed ticks are not known and WithCatchUp does nothing; use Aligned, or a calendar schedule with an interval of 1", ErrSchedule)

func (e *examiner) planFrom(ctx context.Context, p jobSpec, from, until time.Time) (found plan, err error) {
	err = e.try(ctx, func(t trial) error {
		t.clock.Advance(wall(from).Sub(t.clock.Now()))
		var opts []gocron.JobOption
		for _, o := range p.options {
			opts = append(opts, asOf(o, p.createdAt, from))
		}
		j, err := t.NewJob(p.definition, noTask, append(opts, noListeners(), gocron.WithDistributedJobLocker(refusingLocker(func() {})))...)
		if err != nil {
			return err
		}
		defer t.remove(j)
		ticks, err := askBusy(ctx, func() ([]time.Time, error) { return foresee(j, until, few) })
		found = plan{
			newest: newest(time.Time{}, ticks, func(t time.Time) bool { return wall(t).After(wall(from)) && !wall(t).After(wall(until)) }),
			next:   oldest(ticks, func(t time.Time) bool { return wall(t).After(wall(until)) }),
			gap:    gapOf(time.Time{}, ticks)}
		return err
	})
	if errors.Is(err, gocron.ErrOneTimeJobStartDateTimePast) {
		err = nil
	}
	return found, err
}

// asOf applies an option as of the earlier of two instants: a start date that lay ahead when the job was made may have passed.
func asOf[J any, O ~func(J, time.Time) error](option O, createdAt, from time.Time) O {
	if wall(createdAt).Before(wall(from)) {
		from = createdAt
	}
	return func(j J, _ time.Time) error { return option(j, from) }
}
