package gocronadapter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// askedJob is gocron's handle for the questions of this package. None holds up gocron's stop: gocron answers nothing while it stops, and
// would wait for the run that asks, for up to gocronTimeout or its own stop timeout.
type askedJob struct {
	gocron.Job
	questions *questions      // of the scheduler; nil if the Locker is merely attached
	ctx       context.Context // of an attached job: its questions end with it
}

func (j askedJob) LastRun() (time.Time, error) { return question(j, j.Job.LastRun) } //nolint:staticcheck // see run.lastRun

func (j askedJob) NextRun() (time.Time, error) { return question(j, j.Job.NextRun) }

func (j askedJob) NextRuns(n int) ([]time.Time, error) {
	return question(j, func() ([]time.Time, error) { return j.Job.NextRuns(n) })
}

func question[T any](j askedJob, f func() (T, error)) (v T, err error) {
	if j.questions == nil {
		return ask(j.ctx, f)
	}
	if !j.questions.begin() {
		return v, errStopping
	}
	defer j.questions.asking.Done()
	return f()
}

// questions are those that gocron has not answered. It has a mutex of its own because every run asks.
type questions struct {
	mu     sync.Mutex
	paused int            // calls of pause without resume; no question begins meanwhile
	asking sync.WaitGroup // Add is called under mu
}

func (q *questions) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.paused > 0 {
		return false
	}
	q.asking.Add(1)
	return true
}

// pause returns once gocron has answered all questions.
func (q *questions) pause() {
	q.mu.Lock()
	q.paused++
	q.mu.Unlock()
	q.asking.Wait()
}

func (q *questions) resume() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused--
}

var errStopping = fmt.Errorf("gocron is being stopped: %w", context.Canceled)

// answerTimeout bounds how long Lock waits for gocron to answer about a job; then the tick is lost. A machine with thousands of jobs
// due at once may be busy for ten seconds.
const answerTimeout = 30 * time.Second

// gocronTimeout is how long gocron's handle of a job waits for the scheduler. After that it returns ErrJobNotFound, which it returns
// at once for a job that is gone.
const gocronTimeout = time.Second

// askBusy calls f, which asks the handle of a job, again each time it times out, until ctx ends or answerTimeout is over.
func askBusy[T any](ctx context.Context, f func() (T, error)) (v T, err error) {
	for end := time.Now().Add(answerTimeout); ctx.Err() == nil; {
		asked := time.Now()
		v, err = f()
		switch {
		case ctx.Err() != nil:
		case !errors.Is(err, gocron.ErrJobNotFound) || time.Since(asked) < gocronTimeout:
			return v, err
		case !time.Now().Before(end):
			return v, errUnanswered
		}
	}
	return v, ctx.Err()
}

// ask calls f, which blocks while gocron stops, and returns when ctx ends at the
// latest: gocron ends the jobs' contexts first, and then waits for Lock.
func ask[T any](ctx context.Context, f func() (T, error)) (v T, err error) {
	type reply struct {
		value T
		err   error
	}
	replies := make(chan reply, 1)
	go func() {
		v, err := f()
		replies <- reply{v, err}
	}()
	select {
	case r := <-replies:
		v, err = r.value, r.err
	case <-ctx.Done():
	case <-time.After(answerTimeout):
		err = errUnanswered
	}
	return v, cmp.Or(ctx.Err(), err)
}

var errUnanswered = fmt.Errorf("%w: gocron did not answer about its jobs within %v; is a monitor blocking the scheduler?", ErrNoTick, answerTimeout)
