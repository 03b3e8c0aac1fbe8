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
	locker  *Locker
	name    string
	job     gocron.Job
	traits  traits
	words   string         // the schedule
	since   time.Time      // about when the job was started
	errands *errands       // nil when the Locker was attached
	queue   *standby.Queue // nil unless the job's ticks are taken over

	mu           sync.Mutex
	armed        time.Time   // about when the timer of the next tick was set
	asked        time.Time   // the newest tick that was asked for
	known        []time.Time // the ticks that were pending, or foreseen, at the last look
	learned      bool
	uncommon     bool          // the ticks differ from replica to replica
	gap          time.Duration // the shortest time between ticks
	start        time.Time     // the instant of a start at once, which is no tick
	startsAtOnce bool          // the run for that has not come
	queued       int           // runs for skipped ticks that gocron may have in a queue
	told         int           // of these, those whose tick was reported to be lost
	blocked      time.Time     // until when the last Lock kept gocron from other ticks
	lacked       bool          // a quorum, in that Lock
	rhythm       rhythm
	latest       made
	restarted    bool // the job had run before it was stopped and started, and no run of a random schedule has come since
	tasked       bool // a Task of the job has begun, so the others will
}

func (l *Locker) newState(name string, job gocron.Job, t traits, since time.Time) *jobState {
	s := &jobState{locker: l, name: name, job: job, traits: t, words: inWords(job.Schedule()), since: since, armed: since, tasked: t.task}
	if l.takesOver(name) {
		s.queue = standby.New(s, job.RunNow)
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

func (s *jobState) acquire(ctx context.Context) (*run, error) {
	s.forgetDropped()
	now := s.locker.clock.Now()
	d, err := askBusy(ctx, func() (due, error) { return s.due(now) })
	if s.errands != nil && err == nil && !d.starts {
		if d.fresh {
			s.errands.overtaken()
		} else if e, ours := s.errands.take(s.locker.announced.has(s.job.ID())); ours {
			return s.claimErrand(ctx, e)
		}
	}
	if s.queue != nil {
		return s.inTurn(ctx, d, err)
	}
	if err != nil {
		return nil, err
	}
	if d.tick.IsZero() {
		return s.lockOnly(ctx, d)
	}
	s.reportLost(d)
	lease, err := s.Claim(ctx, d.tick)
	s.noteBlocked(errors.Is(err, redlock.ErrNoQuorum))
	return s.newRun(ctx, lease, nil, err)
}

// forgetDropped forgets the runs by RunNow that will not come: in some modes gocron drops them without a word. A run that begins
// when it is idle has not waited in a queue, so none is left in there.
func (s *jobState) forgetDropped() {
	if s.locker.idle() {
		s.locker.announced.forget(s.job.ID(), time.Now().Add(-queueGap))
	}
}

func (s *jobState) newRun(ctx context.Context, lease *redlock.Lease, tick *standby.Run, err error) (*run, error) {
	if err != nil {
		return nil, err
	}
	return &run{job: ctx, name: s.name, lease: lease, locker: s.locker, state: s, tick: tick, began: s.locker.clock.Now()}, nil
}

// inTurn decides on a run of a job whose ticks are taken over. Runs are
// interchangeable: for each tick one is started, and each takes the oldest tick
// that can be had.
func (s *jobState) inTurn(ctx context.Context, d due, planned error) (*run, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if tick := s.queue.Accept(); tick != nil {
		if !d.fresh && !d.starts && !s.queue.Triggered() {
			s.locker.announced.take(s.job.ID())
		}
		return s.newRun(ctx, tick.Lease, tick, nil)
	}
	switch {
	case planned != nil:
		return nil, planned
	case d.fresh:
		return s.claimFirst(ctx, d)
	case d.tick.IsZero() || s.locker.announced.has(s.job.ID()):
		return s.lockOnly(ctx, d)
	}
	s.queue.Triggered()
	return nil, s.behind() // asking again for a tick that was asked for before leads nowhere
}

func (s *jobState) claimFirst(ctx context.Context, d due) (*run, error) {
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

// lockOnly is for runs that no tick is due for.
func (s *jobState) lockOnly(ctx context.Context, d due) (*run, error) {
	if err := s.admit(d); err != nil {
		return nil, err
	}
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

// admit decides whether a run without a tick is a start at once, or a RunNow.
// The other possibility is a run that has waited in a queue of gocron until its
// tick was over. gocron does not say, so those runs are counted.
func (s *jobState) admit(d due) error {
	switch {
	case d.starts, s.locker.announced.take(s.job.ID()):
		return nil
	case s.queue != nil && s.queue.Triggered():
		return fmt.Errorf("%w: a run of job %q was started for a tick that stood by, and another run has picked that up", ErrNoTick, s.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queued == 0 {
		return nil
	}
	s.queued--
	if s.told > 0 {
		s.told--
		return errToldLost
	}
	return fmt.Errorf("%w: job %q waited in a queue until its tick was over or taken by the run before; use Locker.RunNow if this was a RunNow", ErrNoTick, s.name)
}

// vetoed reports whether a run has ended without its task. Only a Task says
// that it has begun.
func (s *jobState) vetoed(begun bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasked = s.tasked || begun
	return s.tasked && !begun
}
