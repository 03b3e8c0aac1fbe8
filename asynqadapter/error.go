package asynqadapter

import (
	"errors"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock"
)

// ErrLate means that a tick was not enqueued because it was older than
// [WithLateness] allows, so that its task ID may be free again although it ran; or
// because it gave way to a newer tick, or the clock was set back before it.
var ErrLate = errors.New("asynqadapter: tick is too late to be enqueued")

// RequeueError is returned by a middleware for a task that is to run later, because its
// key is busy or no quorum was reached. With [Configure] it does not count as a
// failure of the task.
type RequeueError struct {
	// Name is the mutex's name.
	Name string
	// After is the delay until the task returns. asynq rounds it to whole seconds.
	After time.Duration
	// Err is redlock's reason.
	Err error

	from *requeues
}

func (e *RequeueError) Error() string {
	return fmt.Sprintf("asynqadapter: %q is sent back for %v: %v", e.Name, e.After, e.Err)
}

// Unwrap returns redlock's reason.
func (e *RequeueError) Unwrap() error { return e.Err }

// TaskError is the Err of a middleware's events. It says which task, and why.
type TaskError struct {
	Type, ID, Queue string
	Err             error
}

func (e *TaskError) Error() string {
	return fmt.Sprintf("task %s of type %q in queue %q: %v", e.ID, e.Type, e.Queue, e.Err)
}

// Unwrap returns the reason.
func (e *TaskError) Unwrap() error { return e.Err }

// invalid returns an error that matches [redlock.ErrInvalid].
func invalid(format string, args ...any) error {
	return fmt.Errorf("asynqadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
