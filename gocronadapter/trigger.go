package gocronadapter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
)

// WithTriggers runs a job, once in the fleet, when an operator triggers it: with
// redtick trigger, on the page, or by inspect.Inspector.Trigger. It is for
// [NewScheduler]: gocron does not give a Locker its jobs. The run is started by
// the job's RunNow and goes the way of all its runs: it reaches the job's
// listeners, counts for WithLimitedRuns, waits in a queue of gocron or is
// dropped by one, and then it is started again for up to 3 s. On the replicas
// that do not get it, it ends like a tick that another replica runs. While the
// scheduler runs it listens on one connection to each node. While a job of
// gocron.WithIntervalFromCompletion rests, it is held and cannot be triggered.
// Nor can one with gocron.WithDisabledDistributedJobLocker. Default off. What such a
// run is refused for is part of redlock.Job.Triggered.
func WithTriggers() Option { return func(c *config) { c.triggers = true } }

// triggered brings the ticks of triggers to runs, as a catcher does missed ones.
type triggered struct {
	mu    sync.Mutex
	stop  func() // ends the listening; nil when there is none
	ticks []*triggeredTick
	runs  int // that were started and have not come
}

type triggeredTick struct {
	tick  time.Time
	taken chan struct{} // closed when a run has taken it
}

// listenWhile has triggers heard until life ends or stopListening is called.
func (l *jobLocker) listenWhile(life context.Context) {
	if !l.locker.triggers {
		return
	}
	l.stopListening()
	job, err := l.locker.locker.NewJob(l.traits.name, l.locker.of(l.traits.name, 0, 0)...)
	var end func()
	ctx, cancel := context.WithCancel(life)
	if err == nil {
		end, err = job.OnTrigger(func(tick time.Time) { go l.runTriggered(ctx, tick) })
	}
	if err != nil {
		cancel()
		l.locker.warn(l.traits.name, err)
		return
	}
	context.AfterFunc(ctx, end)
	l.hand.mu.Lock()
	defer l.hand.mu.Unlock()
	l.hand.stop = cancel
}

func (l *jobLocker) stopListening() {
	l.hand.mu.Lock()
	defer l.hand.mu.Unlock()
	if l.hand.stop != nil {
		l.hand.stop()
	}
	l.hand.stop = nil
}

// longestTriggering is as long as who triggers waits.
const longestTriggering = 3 * time.Second

// runTriggered starts runs until one takes the tick.
func (l *jobLocker) runTriggered(ctx context.Context, tick time.Time) {
	if !l.locked() {
		l.locker.warn(l.traits.name, fmt.Errorf("%w: job %q has gocron.WithDisabledDistributedJobLocker, so it is not triggered: every replica would run it; leave the option out, or use RunNow", ErrSchedule, l.traits.name))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, longestTriggering)
	defer cancel()
	h, t := &l.hand, &triggeredTick{tick, make(chan struct{})}
	h.mu.Lock()
	h.ticks = append(h.ticks, t)
	h.mu.Unlock()
	l.startRuns(ctx, t.taken, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.runs++
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ticks = slices.DeleteFunc(h.ticks, func(other *triggeredTick) bool { return other == t })
}

// take returns the oldest tick for a run that was started for one, or the zero time when another run has taken it. When the run may
// be one by RunNow as well, a tick that waits comes first: gocron may have dropped that.
func (h *triggered) take(byHand bool) (tick time.Time, ours bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.runs == 0 || byHand && len(h.ticks) == 0 {
		return tick, false
	}
	h.runs--
	if len(h.ticks) > 0 {
		t := h.ticks[0]
		h.ticks, tick = h.ticks[1:], t.tick
		close(t.taken)
	}
	return tick, true
}

// waits reports whether a tick waits for a run.
func (h *triggered) waits() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ticks) > 0
}

// claimTriggered is for a run that was started for a trigger.
func (s *jobState) claimTriggered(ctx context.Context, tick time.Time) (*run, error) {
	if tick.IsZero() {
		return nil, fmt.Errorf("%w: a run of job %q was started for a trigger, which another run of this replica has taken", redlock.ErrTickDone, s.name)
	}
	job, err := s.redlockJob(time.Time{})
	if err != nil {
		return nil, err
	}
	var lease *redlock.Lease
	if lease, err = job.Triggered().Claim(ctx, tick); err != nil {
		return nil, err
	}
	return &run{job: ctx, name: s.name, lease: lease, locker: s.locker, state: s, byHand: true}, nil
}
