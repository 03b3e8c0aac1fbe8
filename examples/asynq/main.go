// Asynq runs three replicas of a service as processes whose clocks differ. Each one is
// worker and scheduler of one asynq queue, and each tick is enqueued and run once, even
// after one replica is killed.
//
//	go run ./examples/asynq
//	go run ./examples/asynq -scheduler=stock
//	go run ./examples/asynq -scheduler=stock-once
//	REDIS_ADDRS=host1:6379,host2:6379,host3:6379 go run ./examples/asynq -ticks 60
//
// It starts embedded Redis nodes unless REDIS_ADDRS names real ones. The first node
// has the queue, and all have the locks. The last line counts the ticks; the exit
// status is 0 only if each was run exactly once.
//
// The part to copy is in service.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/examples/internal/demo"
	"github.com/redtick/redtick/redlock"
)

func main() {
	kind := ours
	demo.Choose(&kind, "scheduler", fmt.Sprintf("%q, %q to see the problem: asynq's own on every replica, or %q: the same, and workers that drop duplicates", ours, stock, stockOnce), explanations)
	demo.Main(demo.Demo{
		Schedule: "asynq queue and schedule",
		Explain:  func() string { return explanations[kind] },
		Jobs:     demo.PulseAndReport,
		Replica:  func(ctx context.Context, r *demo.Replica) error { return serve(ctx, r, kind) },
	})
}

// serve runs a replica until ctx ends.
func serve(ctx context.Context, r *demo.Replica, kind schedulerFlag) error {
	queue, redis := r.Prefix+"asynq", asynq.RedisClientOpt{Addr: r.Addrs[0]}
	locker, err := newLocker(r.Addrs, redlock.WithPrefix(r.Prefix), redlock.WithHolder(r.Name), redlock.WithObserver(tell(r)))
	if err != nil {
		return err
	}
	client := asynq.NewClient(redis)
	defer client.Close()
	stop, err := start(r, kind, redis, client, queue, locker)
	if err != nil {
		return err
	}
	r.Ready()
	<-ctx.Done()
	stop()
	forget(redis, queue)
	r.Close(locker)
	return nil
}

func start(r *demo.Replica, kind schedulerFlag, redis asynq.RedisConnOpt, client *asynq.Client, queue string, locker *redlock.Locker) (stop func(), err error) {
	pulse, report := work(r, "pulse"), work(r, "report")
	if kind != ours {
		server, err1 := startStockWorkers(redis, queue, locker, kind == stockOnce, pulse, report)
		// In asynq's scheduler "@every 5s" counts from the start; the demo expects
		// multiples of 5 s.
		time.Sleep(time.Until(time.Now().Truncate(5 * time.Second).Add(5 * time.Second)))
		scheduler, err2 := startStock(redis, queue)
		return func() { scheduler.Shutdown(); server.Shutdown() }, errors.Join(err1, err2)
	}
	server, err1 := startWorkers(redis, queue, locker, pulse, report)
	scheduler, err2 := startSchedule(client, queue, asynqadapter.WithClock(r.Now), asynqadapter.WithObserver(tell(r)))
	return func() { scheduler.Shutdown(); server.Shutdown() }, errors.Join(err1, err2)
}

// work returns a handler that does the demo's work for its task's tick.
func work(r *demo.Replica, job string) asynq.HandlerFunc {
	return func(ctx context.Context, task *asynq.Task) error {
		tick, ok := asynqadapter.TickOf(task)
		if !ok {
			return errors.New("the task has no tick")
		}
		return r.Work(ctx, job, tick)
	}
}

// tell shows which replicas did not get a tick. A replica that enqueued a tick for
// another's worker shows nothing.
func tell(r *demo.Replica) redlock.Observer {
	return func(e redlock.Event) {
		var of *asynqadapter.TaskError
		switch {
		case e.Kind == asynqadapter.EnqueuedElsewhere:
			r.Refused(e.Name, e.Tick, redlock.ErrTickDone)
		case e.Kind == asynqadapter.Dropped && errors.As(e.Err, &of):
			r.Refused(of.Type, e.Tick, e.Err)
		case e.Level() >= slog.LevelWarn:
			r.Trouble(fmt.Errorf("%s %s: %w", e.Kind, e.Name, e.Err))
		}
	}
}

// forget removes the queue, whose name only this demo uses, from asynq's list.
func forget(redis asynq.RedisConnOpt, queue string) {
	inspector := asynq.NewInspector(redis)
	defer inspector.Close()
	_ = inspector.DeleteQueue(queue, true) // refused while others run tasks; the last one succeeds
}

// schedulerFlag is the value of -scheduler.
type schedulerFlag string

const (
	ours      schedulerFlag = "redtick"
	stock     schedulerFlag = "stock"
	stockOnce schedulerFlag = "stock-once"
)

var explanations = map[schedulerFlag]string{
	ours: "With redtick's Scheduler each tick has one task ID, which one replica gets to enqueue.\n" +
		"Any worker runs it. A blank cell is a replica that enqueued the tick for another's worker.",
	stock:     "With asynq's own scheduler each replica enqueues each tick. (It cannot be given a clock: all are right.)",
	stockOnce: "Each replica's stock scheduler enqueues each tick, and the workers run one task of each. (All clocks are right.)",
}
