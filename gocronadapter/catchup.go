package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/jonboulle/clockwork"

	"github.com/redtick/redtick/redlock"
)

// catcher brings a missed tick of one job to a run, under redlock.WithCatchUp.
// gocron passes no tick to a run, so the run that RunNow starts, or another one
// for which none is due, takes what was left here.
type catcher struct {
	plan    func(ctx context.Context, now time.Time, within time.Duration) (newest, next time.Time, err error)
	planned struct{ newest, next time.Time } // of the goroutine that looks
	owed    time.Time                        // the tick of a job that this one has replaced

	mu      sync.Mutex
	life    context.Context // of the scheduler, from one start to the next stop
	looking bool
	again   bool               // it looks once more
	stop    context.CancelFunc // ends the look
	tick    time.Time          // the missed one
	taken   chan struct{}      // closed when a run has taken it
	runs    int                // that were started for it and have not come
}

// beginCatching is called when the job's scheduler has started, or the job was
// added to one that had.
func (l *jobLocker) beginCatching(life context.Context) {
	l.catch.mu.Lock()
	l.catch.life = life
	l.catch.mu.Unlock()
	l.listenWhile(life)
	l.lookBack()
}

// lookBack runs the newest tick that was missed, if there is one. The replicas
// look at the same time, and the claim decides.
func (l *jobLocker) lookBack() {
	if !l.locker.catchesUp && l.catch.owed.IsZero() {
		return
	}
	job, err := l.locker.locker.NewJob(l.traits.name, l.locker.of(l.traits.name, 0, 0)...)
	if err != nil {
		return // NewJob or the claim says so
	}
	c := &l.catch
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.life == nil || c.life.Err() != nil:
	case c.looking:
		c.again = true // what it looks for may be another tick, or it is about to end
	default:
		c.looking = true
		go l.look(c.begin(), job)
	}
}

// begin is called with the mutex held.
func (c *catcher) begin() (looking context.Context) {
	looking, c.stop = context.WithCancel(c.life)
	return looking
}

func (l *jobLocker) look(ctx context.Context, job *redlock.Job) {
	c := &l.catch
	for again := true; again; {
		l.lookOnce(ctx, job)
		c.mu.Lock()
		c.stop()
		if again = c.again && c.life != nil && c.life.Err() == nil; again {
			ctx = c.begin()
		}
		c.looking, c.again = again, false
		c.mu.Unlock()
	}
}

func (l *jobLocker) lookOnce(ctx context.Context, job *redlock.Job) {
	l.goOn(ctx)
	if job.CatchUp() == 0 {
		return
	}
	var odd error
	tick, err := job.Missed(ctx, func() (tick time.Time) {
		tick, odd = l.catch.newest(ctx, l.locker.clock.Now(), job.CatchUp())
		return tick
	})
	switch {
	case ctx.Err() != nil:
	case odd != nil:
		l.locker.warn(l.traits.name, odd)
	case err != nil:
		l.locker.report(redlock.Event{Kind: redlock.Refused, Name: l.traits.name, Err: err})
	case !tick.IsZero():
		l.bring(ctx, tick)
	}
}

// stopCatching is for a job that is gone, or about to be replaced: its runs would be started for the new one, which does not
// know what for.
func (l *jobLocker) stopCatching() {
	l.stopListening()
	c := &l.catch
	c.mu.Lock()
	defer c.mu.Unlock()
	c.life = nil
	if c.stop != nil {
		c.stop()
	}
}

// newest is the newest tick of the schedule that has come, if it is not too old. It is planned anew when the next has come.
func (c *catcher) newest(ctx context.Context, now time.Time, within time.Duration) (tick time.Time, err error) {
	p := &c.planned
	if p.newest.IsZero() || !wall(now).Before(wall(p.next)) {
		if p.newest, p.next, err = c.plan(ctx, now, within); err != nil {
			return time.Time{}, err
		}
	}
	if wall(now).Sub(wall(p.newest)) > within {
		return time.Time{}, nil
	}
	return p.newest, nil
}

const firstTrigger, lastTrigger = 50 * time.Millisecond, 5 * time.Second

// bring starts runs until one takes the tick. In some modes gocron drops runs without a word.
func (l *jobLocker) bring(ctx context.Context, tick time.Time) {
	if !l.locked() {
		return
	}
	c, taken := &l.catch, make(chan struct{})
	c.mu.Lock()
	c.tick, c.taken = tick, taken
	c.mu.Unlock()
	l.startRuns(ctx, taken, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.runs++
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick = time.Time{}
}

// startRuns starts runs, with a growing pause, until one has taken the tick or ctx ends. begins is called before each.
func (l *jobLocker) startRuns(ctx context.Context, taken <-chan struct{}, begins func()) {
	for pause := firstTrigger; ctx.Err() == nil; pause = min(2*pause, lastTrigger) {
		l.scheduler.runNow(ctx, l.owner, begins)
		timer := time.NewTimer(pause)
		select {
		case <-taken:
			timer.Stop()
			return
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// take decides whether a run is for the missed tick. One with a tick of its own
// is not, and the missed tick is then not the newest any more.
func (c *catcher) take(own bool) (tick time.Time, ours bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !own && c.runs == 0 {
		return tick, false
	}
	if !own {
		c.runs--
		tick = c.tick
	}
	if !c.tick.IsZero() {
		close(c.taken)
	}
	c.tick = time.Time{}
	return tick, !own
}

// claimMissed is for a run that was started for a missed tick.
func (s *jobState) claimMissed(ctx context.Context, tick time.Time) (*run, error) {
	if tick.IsZero() {
		return nil, fmt.Errorf("%w: a run of job %q was started for a missed tick, which another run has taken", ErrNoTick, s.name)
	}
	if s.queue == nil {
		lease, err := s.Claim(ctx, tick)
		return s.newRun(ctx, due{}, lease, nil, err)
	}
	if err := s.keep(tick); err != nil {
		return nil, err
	}
	return s.claimFirst(ctx, due{})
}

// plan returns the newest instant up to now at which gocron would have run a job,
// and the next one, from what it plans on a clock that is set back.
func (e *examiner) plan(d gocron.JobDefinition, opts []gocron.JobOption, now time.Time, within time.Duration) (newest, next time.Time, err error) {
	for back := time.Minute; ; back *= 2 {
		newest, next, err = e.planFrom(d, opts, now.Add(-min(back, within)), now)
		if err == nil && newest.IsZero() && back < within {
			continue
		}
		if err != nil || newest.IsZero() {
			return newest, next, err
		}
		// Ticks that count from the start of a replica are others for each start.
		other, _, err := e.planFrom(d, opts, newest.Add(-17*time.Millisecond), now)
		if err != nil || !other.Equal(newest) {
			return newest, next, errors.Join(err, errOwnTicks)
		}
		return newest, next, nil
	}
}

// afresh returns a definition of the same schedule, and the options for it. A cron definition has one parser for all of its
// jobs, which must not be used while gocron does, so what gocron's own parser says of it has to do.
func afresh(ctx context.Context, d gocron.JobDefinition, opts []gocron.JobOption, job gocron.Job) (gocron.JobDefinition, []gocron.JobOption, error) {
	cron, ok := job.Schedule().(gocron.CronJobSchedule)
	if !ok {
		return d, opts, nil
	}
	ticks, err := askBusy(ctx, func() ([]time.Time, error) { return job.NextRuns(2) })
	if err == nil && !common(cron, ticks) {
		err = errOwnTicks
	}
	return gocron.CronJob(cron.Crontab, true), append(slices.Clip(opts), gocron.WithCronImplementation(gocron.NewDefaultCron(true))), err
}

var errOwnTicks = fmt.Errorf("%w: the job's ticks count from the start of its replica, so what was missed is not known, and WithCatchUp does nothing; use Aligned, or a calendar schedule with an interval of 1", ErrSchedule)

func (e *examiner) planFrom(d gocron.JobDefinition, opts []gocron.JobOption, from, until time.Time) (last, next time.Time, err error) {
	s, err := gocron.NewScheduler(append(slices.Clip(e.options), gocron.WithClock(clockwork.NewFakeClockAt(from)))...)
	if err != nil {
		return last, next, err
	}
	defer func() { _ = s.Shutdown() }()
	opts = append(slices.Clip(opts), noListeners(), gocron.WithDistributedJobLocker(refuse(func() {})))
	j, err := s.NewJob(d, noTask, opts...)
	if err != nil {
		return last, next, err
	}
	switch schedule := j.Schedule().(type) {
	case gocron.DailyJobSchedule, gocron.WeeklyJobSchedule, gocron.MonthlyJobSchedule:
		if !common(schedule, nil) {
			return last, next, errOwnTicks
		}
	}
	s.Start()
	ticks, err := foresee(j, until, lookAhead)
	if err != nil {
		return last, next, err
	}
	for _, t := range ticks {
		switch {
		case wall(t).After(wall(until)):
			return last, t, nil
		case wall(t).After(wall(from)):
			last = t
		}
	}
	return last, next, nil
}
