package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter/internal/standby"
	"github.com/redtick/redtick/redlock"
)

// opBehind is the Op of the errors that this package makes in redlock's stead.
const opBehind = "stand by"

// jobState is what one replica knows about the ticks of one job, from one start
// of the job to the next. gocron passes Lock no tick, so it is read from the
// job's list of pending ones: the run's own is still in there. The list cannot
// be trusted alone, since gocron also keeps ticks it has skipped and drops those
// that came due while Lock was busy.
type jobState struct {
	locker *Locker
	name   string
	job    gocron.Job
	traits traits
	words  string    // the schedule
	since  time.Time // about when the job was started
	extras *extras
	start  starter
	queue  *standby.Queue // nil unless the job's ticks are taken over

	asking *asking

	mu           sync.Mutex
	armed        time.Time   // about when the timer of the next tick was set
	asked        time.Time   // the newest tick that was asked for
	brought      time.Time   // the newest one that a run was started for because gocron had dropped it
	known        []time.Time // the ticks that were pending, or foreseen, at the last look
	learned      bool
	uncommon     bool          // the ticks differ from replica to replica
	gap          time.Duration // the shortest time between ticks
	atOnce       time.Time     // the instant of a start at once, which is no tick
	startsAtOnce bool          // the run for that has not come
	blocked      time.Time     // until when the last Lock kept gocron from other ticks
	lacked       bool          // a quorum, in that Lock
	rhythm       rhythm
	latest       made
	restarted    bool // the job had run before it was stopped and started, and no run of a random schedule has come since
	tasked       bool // a Task of the job has begun, so the others will
}

func (l *Locker) newState(name string, job gocron.Job, t traits, since time.Time, x *extras, start starter) *jobState {
	s := &jobState{locker: l, name: name, job: job, traits: t, words: inWords(job.Schedule()), extras: x, start: start,
		since: since, armed: since, asking: new(asking), tasked: t.task, restarted: x.live()}
	if l.takesOver(name) {
		s.queue = standby.New(s)
	}
	return s
}

// made is redlock's job with the options that the schedule had when it was last asked for, which seldom change.
type made struct {
	job          *redlock.Job
	spacing, gap time.Duration
}

// redlockJob has the spacing that the job's schedule has now, and a spread for a
// tick that is just due. Nobody competes for older ones.
func (s *jobState) redlockJob(tick time.Time) (*redlock.Job, error) {
	spacing := s.spacing()
	s.mu.Lock()
	m, gap := s.latest, min(s.gap, wideGap)
	s.mu.Unlock()
	if tick.IsZero() || s.locker.clock.Now().Sub(tick) > DefaultSpread {
		gap = 0
	}
	if m.job != nil && m.spacing == spacing && m.gap == gap {
		return m.job, nil
	}
	j, err := s.locker.locker.NewJob(s.name, s.options(spacing, gap)...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = made{j, spacing, gap}
	return j, nil
}

func (s *jobState) options(spacing, gap time.Duration) []redlock.JobOption {
	return append([]redlock.JobOption{redlock.WithSchedule(s.words, s.next)}, s.locker.of(s.name, spacing, gap)...)
}

// Claim asks for a tick and does not wait.
func (s *jobState) Claim(ctx context.Context, tick time.Time) (*redlock.Lease, error) {
	j, err := s.redlockJob(tick)
	if err != nil {
		return nil, err
	}
	return j.Claim(ctx, tick)
}

// Await asks for a tick and waits until it is over, or can be taken over.
func (s *jobState) Await(ctx context.Context, tick time.Time) (*redlock.Lease, error) {
	j, err := s.redlockJob(time.Time{})
	if err != nil {
		return nil, err
	}
	return j.Await(ctx, tick)
}

// Start starts runs until one has accepted a lease of the stand-by, or ctx ends.
func (s *jobState) Start(ctx context.Context, accepted <-chan struct{}) {
	s.extras.startUntil(ctx, s.start, accepted)
}

func (s *jobState) acquire(ctx context.Context) (*run, error) {
	if s.locker.idle() { // this run has not waited in a queue of gocron, so no other does
		s.extras.forgetByHand(queueGap)
	}
	now := s.locker.clock.Now()
	d, err := askBusy(ctx, func() (due, error) { return s.due(now) })
	if d.fresh {
		err = errors.Join(err, s.keep(s.extras.overtaken()...)) // under take-over they come before this one
	}
	if s.queue != nil && ctx.Err() == nil {
		if tick := s.queue.Accept(); tick != nil {
			if !d.fresh && !d.starts {
				s.extras.takeOffered()
			}
			return s.newRun(ctx, tick.Lease, tick, nil)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case d.starts:
		return s.lockOnly(ctx)
	case d.fresh:
		return s.claimDue(ctx, d)
	}
	r, err := s.acquireExtra(ctx, d)
	if err != nil && s.traits.announces {
		go s.bringDropped(ctx)
	}
	return r, err
}

func (s *jobState) claimDue(ctx context.Context, d due) (*run, error) {
	if s.queue != nil {
		return s.claimFirst(ctx)
	}
	s.reportLost(d)
	lease, err := s.Claim(ctx, d.tick)
	s.noteBlocked(errors.Is(err, redlock.ErrNoQuorum))
	return s.newRun(ctx, lease, nil, err)
}

// acquireExtra is for a run without a due tick of its own.
func (s *jobState) acquireExtra(ctx context.Context, d due) (*run, error) {
	purpose, errand := s.extras.take()
	switch {
	case purpose == byHand:
		return s.lockOnly(ctx)
	case purpose == surplus:
		return nil, fmt.Errorf("%w: %w: a run of job %q was started for a tick that another run of this replica has taken", ErrNoTick, redlock.ErrTickDone, s.name)
	case purpose == forErrand && errand.triggered:
		return s.claimTriggered(ctx, errand.ticks[0])
	case purpose == forErrand:
		return s.claimMissed(ctx, errand.ticks)
	case d.tick.IsZero():
		return s.lockUnannounced(ctx)
	case s.queue != nil:
		return nil, s.behind()
	}
	return s.claimDue(ctx, d) // which refuses it: it was asked for before
}

// bringDropped runs the tick that came while a run without one asked in vain: some modes of gocron drop it then, and they do so on
// all replicas when an operator has triggered the job just before.
func (s *jobState) bringDropped(ctx context.Context) {
	pause := time.NewTimer(firstPause) // other modes run the tick now
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return
	}
	now := s.locker.clock.Now()
	s.mu.Lock()
	tick := newest(time.Time{}, s.known, func(t time.Time) bool { return t.After(s.asked) && t.After(s.brought) && !wall(t).After(wall(now)) })
	found := !tick.IsZero() && !s.uncommon // what was foreseen of other schedules may have moved
	if found {
		s.brought = tick
	}
	s.mu.Unlock()
	if found {
		ctx, cancel := context.WithTimeout(ctx, longestTriggering)
		defer cancel()
		s.extras.bring(ctx, s.start, false, tick)
	}
}

func (s *jobState) newRun(ctx context.Context, lease *redlock.Lease, tick *standby.Run, err error) (*run, error) {
	if err != nil {
		return nil, err
	}
	return &run{job: ctx, name: s.name, lease: lease, locker: s.locker, state: s, tick: tick, began: s.locker.clock.Now()}, nil
}

// claimFirst claims the oldest tick that stands by. Runs are interchangeable:
// for each tick one is started, and each takes the oldest that can be had.
func (s *jobState) claimFirst(ctx context.Context) (*run, error) {
	tick, err := s.queue.Claim(ctx)
	switch {
	case errors.Is(err, standby.ErrBehind):
		return nil, s.behind()
	case err != nil:
		return nil, err
	}
	return s.newRun(ctx, tick.Lease, tick, nil)
}

// behind refuses a run whose tick comes after others.
func (s *jobState) behind() error {
	n := s.queue.Len()
	if n == 0 {
		return fmt.Errorf("%w: another run of job %q has just asked for its tick, which is over", ErrNoTick, s.name)
	}
	return &redlock.Error{Op: opBehind, Name: s.name, Reason: redlock.ErrTaken,
		Detail: fmt.Sprintf("%d ticks are run or stand by on this replica, and come one after the other", n)}
}

// lockOnly is for runs that are each replica's own.
func (s *jobState) lockOnly(ctx context.Context) (*run, error) {
	var opts []redlock.MutexOption
	for _, o := range s.options(s.spacing(), 0) {
		if o, ok := o.(redlock.MutexOption); ok {
			opts = append(opts, o)
		}
	}
	m, err := s.locker.locker.NewMutex(s.name, opts...)
	if err != nil {
		return nil, err
	}
	lease, err := m.TryLock(ctx)
	return s.newRun(ctx, lease, nil, err)
}

// lockUnannounced is for a run that no tick is due for and that nobody has announced: a RunNow of gocron's own, or a run that has
// waited in a queue of gocron until its tick was over.
func (s *jobState) lockUnannounced(ctx context.Context) (*run, error) {
	switch queued, told := s.extras.takeQueued(); {
	case told:
		return nil, errToldLost
	case queued:
		return nil, fmt.Errorf("%w: job %q waited in a queue until its tick was over or taken by the run before; use Locker.RunNow if this was a RunNow", ErrNoTick, s.name)
	}
	return s.lockOnly(ctx)
}

// vetoed reports whether a run has ended without its task. Only a Task says
// that it has begun.
func (s *jobState) vetoed(begun bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasked = s.tasked || begun
	return s.tasked && !begun
}
