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

// delivery is one delivery of a task by asynq.
type delivery struct {
	task  *asynq.Task
	id    string
	queue string
	tick  time.Time // zero if the task has none
	last  bool      // no retries are left: asynq archives the task on any error, whatever IsFailure says
}

func deliveryOf(ctx context.Context, task *asynq.Task) delivery {
	d := delivery{task: task}
	d.tick, _ = TickOf(task)
	d.id, _ = asynq.GetTaskID(ctx)
	d.queue, _ = asynq.GetQueueName(ctx)
	retried, known := asynq.GetRetryCount(ctx)
	limit, _ := asynq.GetMaxRetry(ctx)
	d.last = known && retried >= limit
	return d
}

// owner returns the task's queue and ID as one word that redlock accepts. IDs are
// unique only within a queue.
func (d delivery) owner() string {
	word := d.queue + "/" + d.id
	if len(word) <= 128 && !strings.Contains(word, " ") {
		return word
	}
	return digest([]byte(word))
}

// holder returns the text that shows in the lock's token which task and process hold
// it.
func (d delivery) holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("task %s on %.64s:%d", d.owner(), host, os.Getpid())
}

// holds reports whether token belongs to a delivery of this task, in any process:
// asynq may deliver a task again while its handler still runs, after a Shutdown that
// timed out or when asynq's own lease expired. As an ID may be used twice, this does
// not prove that the task is done.
func (d delivery) holds(token string) bool {
	return d.id != "" && strings.HasPrefix(redlock.HolderOf(token), "task "+d.owner()+" on ")
}
