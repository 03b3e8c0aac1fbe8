package asynqadapter

import (
	"errors"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock"
)

// ErrLate means that a tick was older than [WithLateness] allows when this
// replica came to enqueue it, so its task ID may be free again although the tick ran, or it
// gave way to a newer one.
var ErrLate = errors.New("asynqadapter: tick is too late to be enqueued")

// RequeueError is what a middleware returns for a task that shall run later:
// its key is busy, or no quorum says whether it is. It is no failure of the
// task; [Configure] makes asynq see it that way.
type RequeueError struct {
	// Name is the mutex's name.
	Name string
	// After is when the task shall come back. asynq rounds it to whole seconds.
	After time.Duration
	// Err is redlock's reason.
	Err error

	from *requeues
}

func (e *RequeueError) Error() string {
	return fmt.Sprintf("asynqadapter: %q comes back in %v: %v", e.Name, e.After, e.Err)
}

// Unwrap returns redlock's reason.
func (e *RequeueError) Unwrap() error { return e.Err }

// TaskError is the Err of a middleware's events: which task, and why.
type TaskError struct {
	Type, ID, Queue string
	Err             error
}

func (e *TaskError) Error() string {
	return fmt.Sprintf("task %s of type %q in queue %q: %v", e.ID, e.Type, e.Queue, e.Err)
}

// Unwrap returns the reason.
func (e *TaskError) Unwrap() error { return e.Err }

// invalid makes the error for a refused argument; it matches [redlock.ErrInvalid].
func invalid(format string, args ...any) error {
	return fmt.Errorf("asynqadapter: %w: "+format, append([]any{redlock.ErrInvalid}, args...)...)
}
