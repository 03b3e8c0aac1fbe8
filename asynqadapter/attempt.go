package asynqadapter

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// attempt is one delivery of a task by asynq.
type attempt struct {
	task *asynq.Task
	id   string
	last bool // any error would archive the task, whatever IsFailure says
}

func attemptOf(ctx context.Context, task *asynq.Task) attempt {
	a := attempt{task: task}
	a.id, _ = asynq.GetTaskID(ctx)
	retried, known := asynq.GetRetryCount(ctx)
	limit, _ := asynq.GetMaxRetry(ctx)
	a.last = known && retried >= limit
	return a
}

// owner is the task's id as one word that redlock has room for.
func (a attempt) owner() string {
	if len(a.id) <= 128 && !strings.Contains(a.id, " ") {
		return a.id
	}
	return digest([]byte(a.id))
}

// holder shows in the lock's token which task and process have it.
func (a attempt) holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("task %s on %.64s:%d", a.owner(), host, os.Getpid())
}

// holds tells whether token was made for this same task, in whatever process:
// asynq hands a task out again while its handler still runs, after a Shutdown
// that timed out or a lease of asynq's that expired.
func (a attempt) holds(token string) bool {
	return a.id != "" && strings.HasPrefix(redlock.HolderOf(token), "task "+a.owner()+" on ")
}

func (a attempt) event(kind EventKind, name string, err error) Event {
	return Event{Kind: kind, Name: name, TaskType: a.task.Type(), TaskID: a.id, Err: err}
}
