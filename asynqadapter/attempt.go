package asynqadapter

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/redlock"
)

// attempt is one delivery of a task by asynq.
type attempt struct {
	task  *asynq.Task
	id    string
	queue string
	tick  time.Time // zero if the task has none
	last  bool      // any error would archive the task, whatever IsFailure says
}

func attemptOf(ctx context.Context, task *asynq.Task) attempt {
	a := attempt{task: task}
	a.tick, _ = TickOf(task)
	a.id, _ = asynq.GetTaskID(ctx)
	a.queue, _ = asynq.GetQueueName(ctx)
	retried, known := asynq.GetRetryCount(ctx)
	limit, _ := asynq.GetMaxRetry(ctx)
	a.last = known && retried >= limit
	return a
}

// owner is the task's queue and ID, as IDs are unique per queue only, in one
// word that redlock has room for.
func (a attempt) owner() string {
	word := a.queue + "/" + a.id
	if len(word) <= 128 && !strings.Contains(word, " ") {
		return word
	}
	return digest([]byte(word))
}

// holder shows in the lock's token which task and process have it.
func (a attempt) holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("task %s on %.64s:%d", a.owner(), host, os.Getpid())
}

// holds reports whether token was made for this same task, in whatever process:
// asynq hands a task out again while its handler still runs, after a Shutdown
// that timed out or a lease of asynq's that expired. Where an ID was used twice
// it may have been another task, so nothing is called done for that.
func (a attempt) holds(token string) bool {
	return a.id != "" && strings.HasPrefix(redlock.HolderOf(token), "task "+a.owner()+" on ")
}
