package gocronadapter

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"
)

const (
	// early is how far ahead of its tick a run may start and still be taken for it.
	early = time.Millisecond
	// lookAhead is how many ticks are asked for at first, and at most.
	lookAhead, maxLookAhead = 16, 1 << 16
)

// due is what a run is for.
type due struct {
	tick   time.Time   // zero: none, the run takes the lock only
	fresh  bool        // the tick was not asked for before
	starts bool        // the run is the one with which the job starts at once
	lost   []time.Time // the ticks that gocron has dropped or queued while Lock waited for the nodes
}

// due finds the tick of the run which begins now. When ticks are taken over, it
// stands by from here on, behind those that gocron has skipped.
func (s *jobState) due(now time.Time) (due, error) {
	if !s.asking.begin() {
		return due{}, context.Canceled // as the job's context is, or will be in a moment
	}
	defer s.asking.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, random := s.job.Schedule().(gocron.DurationRandomJobSchedule); random {
		tick, err := s.randomTick(now)
		if err != nil || tick.IsZero() {
			return due{}, err
		}
		return due{tick: tick, fresh: true}, s.keep(tick)
	}
	return s.listed(now)
}

// listed is due for a job whose ticks can be listed. The caller holds mu.
func (s *jobState) listed(now time.Time) (due, error) {
	pending, err := foresee(s.job, now, lookAhead)
	if err != nil {
		return due{}, err
	}
	s.learn(pending)
	if s.extras.announced() || s.startsAtOnce { // the run is more likely that one than one that has been in a queue of gocron since
		pending = slices.DeleteFunc(pending, s.leftOver)
	}
	pending = slices.DeleteFunc(pending, func(t time.Time) bool { return !s.atOnce.IsZero() && t.Equal(s.atOnce) })
	tick := s.choose(pending, now)
	skipped := s.skipped(pending, tick)
	if len(pending) > 0 {
		s.known = pending
	}
	if s.startsAtOnce && !tick.After(s.asked) {
		s.startsAtOnce = false
		return due{starts: true}, nil
	}
	if tick.IsZero() {
		return due{}, s.dropped(pending)
	}
	s.armed = now
	if !tick.After(s.asked) {
		return due{tick: tick}, nil
	}
	lost := s.lostBefore(skipped, tick)
	s.extras.noteQueued(len(skipped), len(lost), s.locker.idle())
	switch {
	case s.queue == nil, s.asked.IsZero() && !s.traits.announces:
		skipped = nil // what was before the first look is over, or may be
	case s.asked.IsZero():
		skipped = slices.DeleteFunc(skipped, s.leftOver)
	}
	s.asked = tick
	return due{tick: tick, fresh: true, lost: lost}, s.keep(append(skipped, tick)...)
}

// leftOver reports whether gocron has had a tick pending since before it was stopped and started. Of a scheduler that is merely
// attached, it is not known when that was.
func (s *jobState) leftOver(t time.Time) bool {
	return s.traits.announces && wall(t).Before(wall(s.since))
}

// learn has a first look at the job's ticks: whether they are common, and the
// instant at which the job was started at once. That is no tick, because no
// other replica has it, and claiming it would refuse the last regular tick to a
// replica that is a little late.
func (s *jobState) learn(pending []time.Time) {
	if !s.learned && len(pending) > 0 {
		s.learned = true
		zone := s.traits.zoneOf(s.job.Schedule(), pending)
		s.uncommon = !common(s.job.Schedule(), pending, zone)
		s.startsAtOnce = s.startOf(pending)
		s.locker.checkZone(s.name, s.job.Schedule(), zone)
	}
	s.gap = gapOf(s.asked, pending)
}

// startOf finds the instant of a start at once, for jobs whose ticks are common
// otherwise.
func (s *jobState) startOf(pending []time.Time) bool {
	began := func(t time.Time) bool { return s.traits.startsAtOnce && !s.uncommon && !wall(t).Before(wall(s.since)) }
	if once, ok := s.job.Schedule().(gocron.OneTimeJobSchedule); ok {
		began = func(t time.Time) bool { return !slices.ContainsFunc(once.StartAt, t.Equal) }
	}
	s.atOnce = oldest(pending, began)
	return !s.atOnce.IsZero()
}

// keep has ticks stand by, in order, if ticks are taken over.
func (s *jobState) keep(ticks ...time.Time) error {
	if s.queue == nil {
		return nil
	}
	for _, t := range ticks {
		if !s.queue.Add(t) {
			return fmt.Errorf("%w: %d ticks of job %q stand by on this replica, so the one of %v does not, and is lost unless another replica runs it; is the job slower than its schedule?",
				ErrBacklog, s.queue.Len(), s.name, t.UTC())
		}
	}
	return nil
}

// skipped lists the ticks before this one that were not asked for, in order.
// What was foreseen counts only where it came true: an interval that counts
// from the end of a run moves with each run.
func (s *jobState) skipped(pending []time.Time, tick time.Time) (ticks []time.Time) {
	between := func(all []time.Time) {
		for _, t := range all {
			if t.After(s.asked) && t.Before(tick) {
				ticks = append(ticks, t)
			}
		}
	}
	between(pending)
	if slices.ContainsFunc(s.known, tick.Equal) {
		between(s.known)
	}
	slices.SortFunc(ticks, time.Time.Compare)
	return slices.CompactFunc(ticks, time.Time.Equal)
}

// dropped distinguishes a run whose tick gocron has dropped from one that never
// had any: gocron has the next tick of a job pending, unless the job is at its end.
func (s *jobState) dropped(pending []time.Time) error {
	_, once := s.job.Schedule().(gocron.OneTimeJobSchedule)
	if once || len(pending) > 0 {
		return nil
	}
	return fmt.Errorf("%w: gocron has dropped the tick of job %q while the votes on those before took longer than its interval; is a node slow?",
		ErrNoTick, s.name)
}

// choose takes the newest tick that is due and was not asked for. What is older
// was skipped by gocron, or waits in a queue behind this run.
func (s *jobState) choose(pending []time.Time, now time.Time) time.Time {
	fresh := func(t time.Time) bool { return t.After(s.asked) }
	due := func(t time.Time) bool { return !wall(t).After(wall(now)) }
	both := func(t time.Time) bool { return fresh(t) && due(t) }
	tick := newest(newest(time.Time{}, pending, both), s.known, both)
	tolerance := early
	if !tick.IsZero() {
		tolerance = 0 // ticks may be that close to each other, and the run is for the one that is due
	}
	ahead := oldest(pending, func(t time.Time) bool { return fresh(t) && !due(t) })
	if !ahead.IsZero() && s.fired(ahead, now, tolerance) {
		return ahead
	}
	if tick.IsZero() {
		// Still pending though it was asked for: after odd turns of the clock this may be a
		// run of the schedule. Asking again refuses it; taking it for RunNow would run it.
		tick = newest(tick, pending, due)
	}
	return tick
}

func newest(tick time.Time, ticks []time.Time, ok func(time.Time) bool) time.Time {
	for _, t := range ticks {
		if ok(t) && t.After(tick) {
			tick = t
		}
	}
	return tick
}

// oldest is not always the first: a restart leaves what gocron has pending in disorder.
func oldest(ticks []time.Time, ok func(time.Time) bool) (tick time.Time) {
	for _, t := range ticks {
		if ok(t) && (tick.IsZero() || t.Before(tick)) {
			tick = t
		}
	}
	return tick
}

// fired reports whether gocron's timer for a tick has ended, though the tick is
// not due by the wall clock: that may be set back, and timers do not follow.
func (s *jobState) fired(tick, now time.Time, tolerance time.Duration) bool {
	steady := wall(s.armed).Add(now.Sub(s.armed)) // the wall clock if it had not been set
	return !wall(tick).After(steady.Add(tolerance))
}

// wall is what the clock on the wall shows, without the monotonic reading: gocron
// has dropped that from its ticks, and plans by the wall clock.
func wall(t time.Time) time.Time { return t.Round(0) }

// randomTick takes the moment itself: replicas have no tick in common, so only
// the spacing counts. Asking for more than the next run would race with gocron
// for the job's random numbers. What that says may be one from before a stop,
// which will not come, and a run that has waited in a queue comes before it: so
// a run is the schedule's unless another is expected, where that is known.
func (s *jobState) randomTick(now time.Time) (time.Time, error) {
	next, err := s.job.NextRun()
	if err != nil {
		return time.Time{}, err
	}
	fired := !s.restarted && s.fired(next, now, early)
	if !fired && (s.extras.expected() || !s.restarted && !s.traits.announces) {
		return time.Time{}, nil
	}
	s.armed, s.restarted = now, false
	return now, nil
}

// foresee lists the job's ticks until one lies in the future. It asks for so many at first.
func foresee(job gocron.Job, now time.Time, n int) ([]time.Time, error) {
	for ; ; n *= 2 {
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
