package gocronadapter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter/internal/standby"
	"github.com/redtick/redtick/redlock"
)

// early is how far ahead of its tick a run may start.
const early = time.Millisecond

// lookAhead is how many ticks gocron is asked for at first; maxLookAhead is the limit.
const lookAhead, maxLookAhead = 16, 1 << 16

// few ticks are enough if those after the next one are more than reach ahead, because a Lock rarely takes that long. gocron needs
// about 5 µs to find one more tick of a crontab, and all jobs of a tick ask it at the same time.
const few, reach = 4, time.Minute

// due says what a run is for.
type due struct {
	tick      time.Time   // zero if the run has none and only takes the lock
	fresh     bool        // no run has asked for the tick before
	immediate bool        // the job starts with this run, without a tick
	lost      []time.Time // ticks that gocron dropped or queued during the last Lock
	noQuorum  bool        // that of the last Lock
}

// due finds the tick of the run that begins now. Under take-over the tick stands by
// from here on, behind those that gocron has skipped.
func (s *jobState) due(ctx context.Context, now time.Time) (due, error) {
	select {
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
	case <-ctx.Done():
		return due{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, random := s.job.Schedule().(gocron.DurationRandomJobSchedule); random {
		return s.random(now)
	}
	return s.listed(now)
}

// listed is due for a job whose ticks gocron can list. The caller holds mu.
func (s *jobState) listed(now time.Time) (due, error) {
	pending := s.foreseen(now)
	if pending == nil {
		var err error
		if pending, err = s.pending(now, s.gap); err != nil {
			return due{}, err
		}
	}
	s.learn(pending)
	if s.extraRuns.runNows.Load() > 0 || s.startPending { // the run is more likely one of these than one left in a queue
		pending = slices.DeleteFunc(pending, s.leftOver)
	}
	pending = slices.DeleteFunc(pending, func(t time.Time) bool { return !s.startInstant.IsZero() && t.Equal(s.startInstant) })
	tick := s.choose(pending, now)
	skipped := s.skipped(pending, tick)
	if len(pending) > 0 {
		s.known = pending
	}
	_, once := s.job.Schedule().(gocron.OneTimeJobSchedule)
	switch {
	case s.startPending && !tick.After(s.asked):
		s.startPending = false
		return due{immediate: true}, nil
	case tick.IsZero() && len(pending) == 0 && !once: // else gocron has the next tick pending, until the job's last one
		return due{}, fmt.Errorf("%w: gocron has dropped the tick of job %q while the votes on those before took longer than its interval; is a node slow?",
			ErrNoTick, s.name)
	case tick.IsZero():
		return due{}, nil
	}
	s.armed = now
	if !tick.After(s.asked) {
		return due{tick: tick}, nil
	}
	lost := s.lostBefore(skipped, tick)
	s.extraRuns.noteQueued(len(skipped), len(lost), s.locker.idle())
	switch {
	case s.queue == nil, s.asked.IsZero() && s.scheduler == nil:
		skipped = nil // those before the first look may be over
	case s.asked.IsZero():
		skipped = slices.DeleteFunc(skipped, s.leftOver)
	}
	s.asked = tick
	return due{tick: tick, fresh: true, lost: lost, noQuorum: s.noQuorum}, s.enqueue(append(skipped, tick)...)
}

// leftOver reports whether gocron has had a tick pending since before its last start. For a scheduler that is merely attached, that time
// is not known.
func (s *jobState) leftOver(t time.Time) bool {
	return s.scheduler != nil && wall(t).Before(wall(s.since))
}

// learn finds out from the first list whether the job's ticks are common, and, if so,
// at which instant the job started at once. That instant is no tick: no other replica
// has it, and claiming it would refuse the last regular tick to a replica that is a
// little late.
func (s *jobState) learn(pending []time.Time) {
	s.gap = gapOf(s.asked, pending)
	if s.learned || len(pending) == 0 {
		return
	}
	s.learned = true
	schedule, zone := s.job.Schedule(), pending[0].Location()
	if _, cron := schedule.(gocron.CronJobSchedule); cron && s.scheduler != nil {
		zone = cmp.Or(s.scheduler.examiner.zone, zone) // the ticks of a crontab are in the zone of its start date
	}
	s.locker.checkZone(s.name, schedule, zone)
	s.uncommon = !common(schedule, pending, zone)
	began := func(t time.Time) bool {
		return s.startsImmediately && !s.uncommon && !wall(t).Before(wall(s.since))
	}
	if once, ok := schedule.(gocron.OneTimeJobSchedule); ok {
		began = func(t time.Time) bool { return !slices.ContainsFunc(once.StartAt, t.Equal) }
	}
	s.startInstant = oldest(pending, began)
	s.startPending = !s.startInstant.IsZero()
}

// enqueue makes ticks stand by, under take-over.
func (s *jobState) enqueue(ticks ...time.Time) error {
	if s.queue == nil {
		return nil
	}
	for _, t := range ticks {
		if !s.queue.Add(t) {
			return fmt.Errorf("%w: %d ticks of job %q stand by on this replica, the limit, so the tick of %v is lost unless another replica runs it; is the job slower than its schedule?",
				ErrBacklog, standby.Max, s.name, t.UTC())
		}
	}
	return nil
}

// skipped lists the ticks before this one that were not asked for, in order. The
// known ticks count only if this one is among them: an interval that counts from
// the end of a run moves with each run.
func (s *jobState) skipped(pending []time.Time, tick time.Time) (ticks []time.Time) {
	all := pending
	if slices.ContainsFunc(s.known, tick.Equal) {
		all = slices.Concat(pending, s.known)
	}
	for _, t := range all {
		if t.After(s.asked) && t.Before(tick) {
			ticks = append(ticks, t)
		}
	}
	slices.SortFunc(ticks, time.Time.Compare)
	return slices.CompactFunc(ticks, time.Time.Equal)
}

// choose returns the newest tick that is due and was not asked for. Older ones were
// skipped by gocron, or wait in a queue behind this run.
func (s *jobState) choose(pending []time.Time, now time.Time) time.Time {
	fresh := func(t time.Time) bool { return t.After(s.asked) }
	due := func(t time.Time) bool { return !wall(t).After(wall(now)) }
	both := func(t time.Time) bool { return fresh(t) && due(t) }
	tick := newest(newest(time.Time{}, pending, both), s.known, both)
	tolerance := early
	if !tick.IsZero() {
		tolerance = 0 // ticks may be that close together, and the run is for the due one
	}
	ahead := oldest(pending, func(t time.Time) bool { return fresh(t) && !due(t) })
	if !ahead.IsZero() && s.fired(ahead, now, tolerance) {
		return ahead
	}
	if tick.IsZero() {
		// Still pending although it was asked for: after a change of the clock this may be a
		// run of the schedule. To claim the tick again refuses the run; as a RunNow it would run.
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

// oldest returns the oldest tick that is ok. After a restart gocron's list is not in order.
func oldest(ticks []time.Time, ok func(time.Time) bool) (tick time.Time) {
	for _, t := range ticks {
		if ok(t) && (tick.IsZero() || t.Before(tick)) {
			tick = t
		}
	}
	return tick
}

// fired reports whether gocron's timer for a tick has ended, even if the tick is not
// due by the wall clock, which may have been set back: timers ignore that.
func (s *jobState) fired(tick, now time.Time, tolerance time.Duration) bool {
	steady := wall(s.armed).Add(now.Sub(s.armed)) // the wall clock if it had not been set
	return !wall(tick).After(steady.Add(tolerance))
}

// wall strips the monotonic reading: gocron plans by the wall clock, and its ticks
// have none.
func wall(t time.Time) time.Time { return t.Round(0) }

// random is due for a job whose ticks are random: now for a run of the schedule, and nothing for an extra run. The
// replicas have no tick in common, so only the spacing counts. It asks for the next
// run only, because asking for more would race with gocron for the job's random
// numbers. The next run may be left over from before a stop and never come, and a
// run that waited in a queue comes before it. So where extra runs are announced, a
// run is the schedule's unless an extra one is expected.
func (s *jobState) random(now time.Time) (due, error) {
	next, err := s.job.NextRun()
	if err != nil {
		return due{}, err
	}
	fired := !s.restarted && s.fired(next, now, early)
	expected := s.extraRuns.runNows.Load() > 0 || s.extraRuns.started.Load() > 0
	if !fired && (expected || !s.restarted && s.scheduler == nil) {
		return due{}, nil
	}
	s.armed, s.restarted = now, false
	return due{tick: now, fresh: true}, s.enqueue(now)
}

// forecast is the job's list of ticks as it was when gocron started.
type forecast struct {
	start *time.Time // which start
	ticks []time.Time
}

// forecast asks for the list of ticks at the start of gocron, since many jobs may have the same first tick: then all of them would ask at
// once, and gocron answers one after the other.
func (l *jobLocker) forecast(start *time.Time) {
	_, random := l.job.Schedule().(gocron.DurationRandomJobSchedule)
	if s := l.state.Load(); random || s != nil && s.ctx.Err() == nil || !l.scheduler.forecasts.begin() {
		return
	}
	defer l.scheduler.forecasts.asking.Done()
	select {
	case l.queries <- struct{}{}:
		defer func() { <-l.queries }()
	default: // a run has come, or the job is replaced
		return
	}
	now := l.locker.clock.Now()
	var ticks []time.Time
	first, err := l.job.NextRun()
	if err == nil {
		ticks, err = l.pending(first, 0) // the list that its run needs: longer if many are left over, or if the next ones follow closely
	}
	if err == nil && len(come(ticks, now)) == 0 && slices.IsSortedFunc(ticks, time.Time.Compare) { // else some are left over, and change the others
		l.first.Store(&forecast{start, ticks})
	}
}

// foreseen returns the list of ticks as it was at the start if that is what gocron would answer now, else nil. gocron changes the list after
// each run. So this must be the first look, for the first tick. The caller holds mu.
func (s *jobState) foreseen(now time.Time) []time.Time {
	f := s.first.Swap(nil)
	if f == nil || s.learned || f.start != s.scheduler.started.Load() {
		return nil
	}
	if ticks := come(f.ticks, now); len(ticks) == 0 || slices.ContainsFunc(ticks, func(t time.Time) bool { return !t.Equal(ticks[0]) }) {
		return nil
	}
	return f.ticks
}

// come returns the ticks that are due.
func come(ticks []time.Time, now time.Time) (due []time.Time) {
	for _, t := range ticks {
		if !wall(t).After(wall(now)) {
			due = append(due, t)
		}
	}
	return due
}

// pending lists the ticks that gocron has pending or planned. gap is the shortest time between them, or 0 if that is not known.
func (l *jobLocker) pending(now time.Time, gap time.Duration) ([]time.Time, error) {
	if !l.locker.takesOver(l.name) && (gap == 0 || 2*gap > reach) {
		ticks, err := foresee(l.job, now, few)
		n := len(ticks)
		// The last two show what the schedule is. The others may be left over from earlier starts, some of them twice.
		if err != nil || n < few || wall(ticks[n-2]).After(wall(now.Add(reach))) && !ticks[n-2].Equal(ticks[n-1]) {
			return ticks, err
		}
	}
	return foresee(l.job, now, lookAhead)
}

// foresee lists the job's ticks until one lies in the future. It asks for n at first, and for twice as many each further time.
func foresee(job gocron.Job, now time.Time, n int) ([]time.Time, error) {
	for ; ; n *= 2 {
		ticks, err := job.NextRuns(n)
		if err != nil {
			return nil, err
		}
		end := slices.IndexFunc(ticks, time.Time.IsZero)
		if end >= 0 {
			ticks = ticks[:end] // after that a one-time job lists its dates again
		}
		if end >= 0 || len(ticks) < n || n >= maxLookAhead || wall(ticks[n-1]).After(wall(now)) {
			return slices.Clone(ticks), nil
		}
	}
}

// lostBefore returns the ticks before this one that came during the previous Lock.
func (s *jobState) lostBefore(skipped []time.Time, tick time.Time) []time.Time {
	if d, ok := s.job.Schedule().(gocron.DurationJobSchedule); ok && !s.asked.IsZero() && d.Duration > 0 && tick.Sub(s.asked)%d.Duration == 0 {
		skipped = nil // gocron does not list all of them
		for t := s.asked.Add(d.Duration); t.Before(tick) && !wall(t).After(wall(s.blockedUntil)); t = t.Add(d.Duration) {
			skipped = append(skipped, t)
		}
	}
	return slices.DeleteFunc(slices.Clone(skipped), func(t time.Time) bool { return wall(t).After(wall(s.blockedUntil)) })
}

// reportLost reports the ticks that were lost during the previous Lock. Without a quorum that may be half of the ticks of a job that runs
// each second, so they are reported like the tick of the Lock.
func (s *jobState) reportLost(d due) {
	ticks := d.lost
	if len(ticks) == 0 {
		return
	}
	j, err := s.redlockJob(d.tick)
	if err != nil {
		return // Claim returns the error
	}
	event := redlock.Event{Kind: redlock.Refused, Name: j.Name(), Tick: ticks[len(ticks)-1]}
	if !d.noQuorum {
		event.Err = fmt.Errorf("%w: %d ticks of job %q, since %v, came while the votes on the one before took longer than its interval, so gocron did not run them here; is a node slow?",
			ErrNoTick, len(ticks), s.name, ticks[0].UTC())
		s.locker.locker.Report(event)
		return
	}
	for _, event.Tick = range ticks {
		event.Err = &redlock.Error{Op: "claim", Name: event.Name, Tick: event.Tick.UTC(), Reason: redlock.ErrNoQuorum,
			Detail: "gocron did not run the tick, which came while the votes on the one before took longer than its interval"}
		s.locker.locker.Report(event)
	}
}
