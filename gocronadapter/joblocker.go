package gocronadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/redtick/redtick/internal/names"
	"github.com/redtick/redtick/redlock"
)

// jobLocker is what is known about one job of gocron. For a scheduler of NewScheduler it is also the job's gocron.Locker.
type jobLocker struct {
	traits
	locker    *Locker
	job       gocron.Job
	extraRuns *extraRuns
	queries   chan struct{} // held while gocron is asked for the job's ticks, and for good once the job is replaced

	// Of a job of NewScheduler only. scheduler is nil if the Locker is merely attached.
	scheduler *scheduler
	ready     chan struct{} // closed once NewJob has returned and job is set; a job may run before that
	spec      jobSpec
	replaced  sync.Once                // holds queries, though Updates of the job may come at the same time
	locked    func() bool              // whether gocron locks the job's runs; otherwise none is started beside the schedule's
	owed      []time.Time              // ticks that the job this one replaced may not have run, in order
	looks     atomic.Int64             // for a missed tick: how many were asked for since the last one began
	planned   plan                     // used only by the goroutine that looks
	state     atomic.Pointer[jobState] // nil before the first run
	first     atomic.Pointer[forecast] // nil if there is none

	mu      sync.Mutex         // held also to change the state
	alive   context.Context    // ends when no run may be started any more
	ending  context.CancelFunc // ends alive
	redlock *redlock.Job       // nil before begin
}

// begin runs missed ticks and listens for triggers, if there may be any, until end is called or life ends. It is called when the
// scheduler starts, or when the job is added to a running one.
func (l *jobLocker) begin(life context.Context) {
	l.end()
	if life.Err() != nil || !l.locker.triggers && !l.catchesUp() {
		return
	}
	job, err := l.locker.locker.NewJob(l.name, l.locker.jobOptions(l.name, 0, 0)...)
	if err != nil {
		return // no lock can have its name, so gocron does not lock it
	}
	ctx, cancel := context.WithCancel(life)
	l.mu.Lock()
	l.alive, l.ending, l.redlock = ctx, cancel, job
	l.mu.Unlock()
	if l.locker.triggers {
		l.listen(ctx, job)
	}
	l.catchUp()
}

// end undoes begin, when the job is gone or about to be replaced: runs started later would go to the new job, which did not ask for them.
func (l *jobLocker) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending()
}

func (l *jobLocker) forget() {
	l.end()
	names.Free(l.locker.locker, l.name, l)
}

func (l *jobLocker) Lock(ctx context.Context, _ string) (gocron.Lock, error) {
	var r *run
	s, err := l.current(ctx)
	if err == nil {
		r, err = s.acquire(ctx)
	}
	if errors.Is(err, redlock.ErrPaused) || errors.Is(err, redlock.ErrNoQuorum) {
		l.catchUp()
	}
	return l.locker.answer(l.name, r, err)
}

// options are the options that the job gets before the user's. Its listeners record the result of a task that was not made by Task; a
// Task records its own. gocron keeps one listener of each kind per job: if the user has set one, the run just counts as ended.
func (l *jobLocker) options() []gocron.JobOption {
	opts := []gocron.JobOption{gocron.WithDistributedJobLocker(l)}
	if !l.task {
		opts = append(opts,
			ifUnset("afterJobRuns", gocron.WithEventListeners(gocron.AfterJobRuns(func(uuid.UUID, string) { l.setResult(nil) }))),
			ifUnset("afterJobRunsWithError", gocron.WithEventListeners(gocron.AfterJobRunsWithError(func(_ uuid.UUID, _ string, err error) { l.setResult(err) }))))
	}
	return opts
}

// setResult records how a run has ended. gocron does not say which. A run that lost its lease and goes on beside the next one most
// likely ends first, and its result does not count.
func (l *jobLocker) setResult(err error) {
	s := l.state.Load()
	if s == nil {
		return // gocron does not lock the job
	}
	if r := handOver.oldest(s.ctx); r != nil {
		r.taskEnded()
		r.lease.SetResult(err)
	}
}

func (l *jobLocker) current(ctx context.Context) (*jobState, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	if l.job == nil {
		return nil, fmt.Errorf("%w: gocron runs the job %q, which it has refused", ErrNoTick, l.name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state.Load()
	if s == nil || s.ctx != ctx {
		since := l.spec.createdAt
		if started := l.scheduler.started.Load(); started != nil && started.After(since) { // compares monotonic readings; the wall clock may have been set back
			since = *started
		}
		s = newState(ctx, l, since)
		l.state.Store(s)
	}
	return s, nil
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

// gocronJob returns gocron's job, or nil while NewJob has not returned.
func (l *jobLocker) gocronJob() gocron.Job {
	if l.scheduler == nil {
		return l.job
	}
	select {
	case <-l.ready:
		return l.job
	default:
		return nil
	}
}

// String describes the job for error texts.
func (l *jobLocker) String() string { return describeJob(l.gocronJob()) }

// Ended reports whether the job is gone, and its name is free. It asks gocron, which removes jobs by itself.
func (l *jobLocker) Ended() bool {
	if l.scheduler == nil {
		return l.state.Load().ctx.Err() != nil
	}
	j := l.gocronJob()
	return j != nil && gone(j)
}
