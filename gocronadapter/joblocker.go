package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/internal/names"
	"github.com/redtick/redtick/redlock"
)

// jobLocker is the gocron.Locker of one job.
type jobLocker struct {
	scheduler *scheduler
	locker    *Locker
	traits    traits
	owner     *owner
	made      time.Time
	extras    *extras
	id        uuid.UUID
	ready     chan struct{} // closed once NewJob has returned: a job may be run before

	asking asking // its runs' questions to gocron

	locked func() bool // a run that does not ask for the lock is started for nothing but the schedule
	catch  catcher

	mu     sync.Mutex
	ctx    context.Context // of the state: gocron makes a new one at each start
	state  *jobState
	alive  context.Context // while runs may be started for the job; nil before it begins
	ending context.CancelFunc
}

// begin has missed ticks run and triggers heard, until end is called or life ends. It is called when the scheduler has started, or
// the job was added to one that had.
func (l *jobLocker) begin(life context.Context) {
	l.end()
	ctx, cancel := context.WithCancel(life)
	l.mu.Lock()
	l.alive, l.ending = ctx, cancel
	l.mu.Unlock()
	l.listen(ctx)
	l.catchUp()
}

// end is for a job that is gone, or about to be replaced: its runs would be started for the new one, which does not know what for.
func (l *jobLocker) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending != nil {
		l.ending()
	}
}

// life ends when no run may be started for the job any more.
func (l *jobLocker) life() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alive
}

func (l *jobLocker) become(j gocron.Job) {
	l.id = j.ID()
	l.owner.set(j)
	close(l.ready)
}

// unready is for a job that gocron has refused.
func (l *jobLocker) unready() {
	close(l.ready)
	l.forget()
}

func (l *jobLocker) forget() {
	l.end()
	names.Free(l.locker.locker, l.traits.name, l.owner)
}

func (l *jobLocker) Lock(ctx context.Context, _ string) (gocron.Lock, error) {
	s, err := l.current(ctx)
	if err != nil {
		return l.locker.answer(l.traits.name, nil, err)
	}
	r, err := s.acquire(ctx)
	if errors.Is(err, redlock.ErrPaused) || errors.Is(err, redlock.ErrNoQuorum) {
		l.catchUp()
	}
	return l.locker.answer(l.traits.name, r, err)
}

// hearsEnd and hearsError learn what came of a task that is no Task, which says so itself. gocron has one listener of each
// kind for a job: with one of the user's the run just counts as ended. gocron does not say which run it is. A run that lost its
// lease and goes on beside the next one most likely ends first, and nothing that is said of it counts.
func (l *jobLocker) hearsEnd() gocron.JobOption {
	return ifUnset("afterJobRuns", gocron.WithEventListeners(gocron.AfterJobRuns(func(uuid.UUID, string) { l.setResult(nil) })))
}

func (l *jobLocker) hearsError() gocron.JobOption {
	return ifUnset("afterJobRunsWithError", gocron.WithEventListeners(gocron.AfterJobRunsWithError(func(_ uuid.UUID, _ string, err error) { l.setResult(err) })))
}

func (l *jobLocker) setResult(err error) {
	l.mu.Lock()
	ctx := l.ctx
	l.mu.Unlock()
	if r := handOver.oldest(ctx); r != nil && !l.traits.task {
		r.taskEnded()
		r.lease.SetResult(err)
	}
}

func (l *jobLocker) current(ctx context.Context) (*jobState, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	job := l.owner.get()
	if job == nil {
		return nil, fmt.Errorf("%w: gocron runs the job %q, which it has refused", ErrNoTick, l.traits.name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx != ctx {
		since := l.made
		if started := l.scheduler.started.Load(); started != nil && started.After(since) { // by the monotonic clock: the other may have been set back
			since = *started
		}
		l.ctx, l.state = ctx, l.locker.newState(l.traits.name, job, l.traits, since, l.extras, l.start)
		l.state.asking = &l.asking
	}
	return l.state, nil
}

// start is the job's starter.
func (l *jobLocker) start(ctx context.Context, begins func()) {
	l.scheduler.whileUp(ctx, func() {
		begins()
		_ = l.owner.get().RunNow() // one that is said to have failed may still come
	})
}

// wait returns once NewJob has. Only a user's monitor can hold that up for long.
func (l *jobLocker) wait(ctx context.Context) error {
	select {
	case <-l.ready:
		return ctx.Err()
	default:
	}
	_, err := ask(ctx, func() (struct{}, error) { <-l.ready; return struct{}{}, nil })
	return err
}
