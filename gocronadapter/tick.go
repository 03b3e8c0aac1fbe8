package gocronadapter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
)

const (
	// early is how far ahead of its tick a run may start and still be taken for it.
	early = time.Millisecond
	// lookAhead is how many ticks are asked for at first, and at most.
	lookAhead, maxLookAhead = 16, 1 << 16
	// maxSpacing is how long redlock remembers the last tick.
	maxSpacing = 7 * 24 * time.Hour
)

// book is what one replica knows about the ticks of one job. gocron passes Lock
// no tick, so it is read from the job's list of pending ones: the run's own is
// still in there. The list cannot be trusted alone, since gocron also keeps
// ticks it has skipped and drops those that came due while Lock was busy.
type book struct {
	job     gocron.Job
	backlog *backlog // nil unless the job's ticks are taken over

	mu    sync.Mutex
	armed time.Time   // about when the timer of the next tick was set
	asked time.Time   // the newest tick that was asked for
	known []time.Time // the ticks that were pending, or foreseen, at the last look
}

// plan is what one run asks the nodes for.
type plan struct {
	due
	book    *book // nil when the Locker is not attached
	spacing time.Duration
}

// due is the tick that a run is for.
type due struct {
	tick  time.Time // zero: none, the run takes the lock only
	fresh bool      // it was not asked for before
}

func (l *Locker) plan(ctx context.Context, key string) (plan, error) {
	s := l.attached()
	if s == nil {
		if l.takesOver(key) {
			return plan{}, fmt.Errorf("%w: WithTakeover needs the scheduler, to start a run of %q when another replica dies; pass it to Locker.Attach", ErrNoTick, key)
		}
		// A timer is late more easily than early: for that a wall clock has to be set back.
		return plan{due: due{tick: l.clock.Now().Add(l.window / 10).Truncate(l.window), fresh: true}}, nil
	}
	b, err := l.book(ctx, s, key)
	if err != nil {
		return plan{}, err
	}
	d, err := ask(ctx, func() (due, error) { return b.due(l.clock.Now()) })
	return plan{due: d, book: b, spacing: spacingOf(b.job.Schedule())}, err
}

// spacingOf serves the schedules whose ticks may differ from replica to
// replica. A tenth is left for clocks that differ.
func spacingOf(s gocron.JobSchedule) time.Duration {
	var d time.Duration
	switch s := s.(type) {
	case gocron.DurationJobSchedule:
		d = s.Duration
	case gocron.DurationRandomJobSchedule:
		d = s.Min
	}
	return min(d-d/10, maxSpacing)
}

// due finds the tick of the run which starts now. When ticks are taken over, it
// stands by from here on, behind those that gocron has skipped.
func (b *book) due(now time.Time) (due, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, random := b.job.Schedule().(gocron.DurationRandomJobSchedule); random {
		tick, err := b.randomTick(now)
		if err != nil || tick.IsZero() {
			return due{}, err
		}
		return due{tick, true}, b.keep(tick)
	}
	pending, err := foresee(b.job, now)
	if err != nil {
		return due{}, err
	}
	tick := b.choose(pending, now)
	skipped := b.skipped(pending, tick)
	if len(pending) > 0 {
		b.known = pending
	}
	if tick.IsZero() {
		return due{}, b.dropped(pending)
	}
	b.armed = now
	first := b.asked.IsZero()
	if !tick.After(b.asked) {
		return due{tick, false}, nil
	}
	b.asked = tick
	if first && startedAtOnce(b.job.Schedule(), tick) {
		return due{}, nil
	}
	return due{tick, true}, b.keep(append(skipped, tick)...)
}

// keep has ticks stand by, in order, if ticks are taken over.
func (b *book) keep(ticks ...time.Time) error {
	if b.backlog == nil {
		return nil
	}
	for _, t := range ticks {
		if !b.backlog.add(t) {
			return fmt.Errorf("%w: %d ticks of job %q stand by on this replica, so the one of %v does not, and is lost unless another replica runs it; is the job slower than its schedule?",
				ErrBacklog, maxBacklog, b.job.Name(), t.UTC())
		}
	}
	return nil
}

// skipped lists the ticks before this one that were not asked for, in order.
// What was foreseen counts only where it came true: an interval that counts
// from the end of a run moves with each run.
func (b *book) skipped(pending []time.Time, tick time.Time) (ticks []time.Time) {
	if b.backlog == nil || b.asked.IsZero() {
		return nil
	}
	all := slices.Clone(pending)
	if slices.ContainsFunc(b.known, tick.Equal) {
		all = append(all, b.known...)
	}
	all = slices.DeleteFunc(all, func(t time.Time) bool { return !t.After(b.asked) || !t.Before(tick) })
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// dropped tells a run whose tick gocron has dropped from one that never had
// any: gocron has the next tick of a job pending, unless the job is at its end.
func (b *book) dropped(pending []time.Time) error {
	_, once := b.job.Schedule().(gocron.OneTimeJobSchedule)
	if once || len(pending) > 0 {
		return nil
	}
	return fmt.Errorf("%w: gocron has dropped the tick of job %q while the votes on those before took longer than its interval; is a node slow?",
		ErrNoTick, b.job.Name())
}

// choose takes the newest tick that is due and was not asked for. What is older
// was skipped by gocron, or waits in a queue behind this run.
func (b *book) choose(pending []time.Time, now time.Time) time.Time {
	fresh := func(t time.Time) bool { return t.After(b.asked) }
	due := func(t time.Time) bool { return !wall(t).After(wall(now)) }
	ahead := slices.IndexFunc(pending, func(t time.Time) bool { return fresh(t) && !due(t) })
	if ahead >= 0 && b.fired(pending[ahead], now) {
		return pending[ahead]
	}
	tick := newest(slices.Concat(pending, b.known), func(t time.Time) bool { return fresh(t) && due(t) })
	if tick.IsZero() {
		// Still pending though it was asked for: after odd turns of the clock this may be a
		// run of the schedule. Asking again refuses it; taking it for RunNow would run it.
		tick = newest(pending, due)
	}
	return tick
}

func newest(ticks []time.Time, ok func(time.Time) bool) (tick time.Time) {
	for _, t := range ticks {
		if ok(t) && t.After(tick) {
			tick = t
		}
	}
	return tick
}

// fired tells whether gocron's timer for a tick has ended, though the tick is
// not due by the wall clock: somebody set that back, and timers do not follow.
func (b *book) fired(tick, now time.Time) bool {
	steady := wall(b.armed).Add(now.Sub(b.armed)) // the wall clock had nobody touched it
	return !wall(tick).After(steady.Add(early))
}

// wall is what the clock on the wall shows, without the monotonic reading: gocron
// has dropped that from its ticks, and plans by the wall clock.
func wall(t time.Time) time.Time { return t.Round(0) }

// randomTick takes the moment itself: replicas have no tick in common, so only
// the spacing counts. Asking for more than the next run would race with gocron
// for the job's random numbers.
func (b *book) randomTick(now time.Time) (time.Time, error) {
	next, err := b.job.NextRun()
	if err != nil || !b.fired(next, now) {
		return time.Time{}, err
	}
	b.armed = now
	return now, nil
}

// foresee lists the job's ticks until one lies in the future.
func foresee(job gocron.Job, now time.Time) ([]time.Time, error) {
	for n := lookAhead; ; n *= 2 {
		ticks, err := job.NextRuns(n)
		if err != nil {
			return nil, err
		}
		if end := slices.IndexFunc(ticks, time.Time.IsZero); end >= 0 {
			return slices.Clone(ticks[:end]), nil // a one-time job starts all over after that
		}
		if len(ticks) < n || n >= maxLookAhead || wall(ticks[n-1]).After(wall(now)) {
			return slices.Clone(ticks), nil
		}
	}
}

// startedAtOnce: WithStartImmediately makes the instant of the start the first
// tick. It is no other replica's, and claiming it would refuse the last regular
// tick to a replica that is a little late.
func startedAtOnce(s gocron.JobSchedule, tick time.Time) bool {
	switch s := s.(type) {
	case gocron.CronJobSchedule, gocron.DailyJobSchedule, gocron.WeeklyJobSchedule, gocron.MonthlyJobSchedule:
		return tick.Nanosecond() != 0
	case gocron.OneTimeJobSchedule:
		return !slices.ContainsFunc(s.StartAt, tick.Equal)
	}
	return false
}
