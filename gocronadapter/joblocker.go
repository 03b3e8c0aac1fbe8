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
	createdAt time.Time
	extraRuns *extraRuns
	id        uuid.UUID
	ready     chan struct{} // closed once NewJob has returned; a job may run before that

	queries queries

	locked  func() bool // whether gocron locks the job's runs; otherwise none is started beside the schedule's
	catcher catcher

	mu     sync.Mutex
	ctx    context.Context // of the state: gocron makes a new one at each start
	state  *jobState
	alive  context.Context // ends when no run may be started any more; nil before begin
	ending context.CancelFunc
}

// begin runs missed ticks and listens for triggers, if there may be any, until end is called or life ends. It is called when the
// scheduler starts, or when the job is added to a running one.
func (l *jobLocker) begin(life context.Context) {
	l.end()
	if !l.locker.triggers && !l.locker.catchesUp && len(l.catcher.owed) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(life)
	l.mu.Lock()
	l.alive, l.ending = ctx, cancel
	l.mu.Unlock()
	l.listen(ctx)
	l.catchUp()
}

// end undoes begin, when the job is gone or about to be replaced: runs started later would go to the new job, which did not ask for them.
func (l *jobLocker) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending != nil {
		l.ending()
	}
}

// life returns a context that ends when no run may be started for the job any more, or nil before begin.
func (l *jobLocker) life() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alive
}

func (l *jobLocker) setJob(j gocron.Job) {
	l.id = j.ID()
	l.owner.set(j)
	close(l.ready)
}

// discard gives up a job that gocron has refused.
func (l *jobLocker) discard() {
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

// onEnd and onError record the result of a task that was not made by Task; a Task records its own. gocron keeps one listener of each
// kind per job: if the user has set one, the run just counts as ended. gocron does not say which run has ended. A run that lost its lease
// and goes on beside the next one most likely ends first, and its result does not count.
func (l *jobLocker) onEnd() gocron.JobOption {
	return ifUnset("afterJobRuns", gocron.WithEventListeners(gocron.AfterJobRuns(func(uuid.UUID, string) { l.setResult(nil) })))
}

func (l *jobLocker) onError() gocron.JobOption {
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
		since := l.createdAt
		if started := l.scheduler.started.Load(); started != nil && started.After(since) { // compares monotonic readings; the wall clock may have been set back
			since = *started
		}
		l.ctx, l.state = ctx, l.locker.newState(l.traits.name, job, l.traits, since, l.extraRuns, l.start, &l.queries)
	}
	return l.state, nil
}

// start is the starter of the job.
func (l *jobLocker) start(ctx context.Context, announce func()) {
	l.scheduler.ifRunning(ctx, func() {
		announce()
		_ = l.owner.get().RunNow() // the run may come even after an error
	})
}

// wait waits until NewJob has returned. Only a monitor of the user's can delay that for long.
func (l *jobLocker) wait(ctx context.Context) error {
	select {
	case <-l.ready:
		return ctx.Err()
	default:
	}
	_, err := ask(ctx, func() (struct{}, error) { <-l.ready; return struct{}{}, nil })
	return err
}
