// Package asynqadapter enqueues periodic asynq tasks once per tick and makes tasks
// exclude each other, on any number of servers and schedulers.
//
//	// Every replica runs the scheduler; each tick is enqueued once.
//	scheduler, err := asynqadapter.NewScheduler(client, nil)
//	_, err = scheduler.Register("0 9 * * *", asynq.NewTask("report", nil))
//
//	// One handler per task type and payload at a time.
//	once, err := asynqadapter.Middleware(locker)
//	mux.Use(once)
//	server := asynq.NewServer(redis, asynqadapter.Configure(asynq.Config{}))
//
// # What it does not promise
//
//   - asynq delivers at least once. It delivers a task again when its worker dies, its
//     Timeout ends or its server is shut down, and the effects may repeat. This
//     package only keeps deliveries from overlapping and gives each tick one task.
//   - A lock is only as good as redlock's; see the limits there. A handler that is
//     paused past the end of its lease may overlap with the next one. It learns of the
//     loss through its context.
//   - A task without retries left cannot be sent back to the queue, because asynq
//     archives it on any error. It waits in its worker instead, and is archived if its
//     Timeout or Deadline ends first. Give tasks that may find their key busy at least
//     one retry.
//   - Servers that use [Middleware] or [OncePerTick] must be made with [Configure]'s
//     result. Otherwise each time a task is sent back it spends a retry.
//   - A handler that outlives the Shutdown of its asynq.Server keeps its lease until
//     the process ends. Close redlock's Locker after that Shutdown.
//
// # What it has
//
//   - [Scheduler], the choice for new code, runs on every replica, with the methods of
//     asynq.Scheduler. Each tick is enqueued once, without a leader and without a gap.
//     It needs no Locker: asynq's own Redis decides.
//   - [PeriodicTaskManager] does the same for asynq's manager, whose entries come from
//     a provider. To adopt it, change the package name of NewPeriodicTaskManager.
//   - [Middleware] runs one handler per key at a time.
//   - [Stamp] and [OncePerTick] are for a stock asynq.Scheduler on every replica:
//     workers drop the duplicates.
//
// A stock scheduler that runs only on a leader, elected with redlock's Elector, loses
// the ticks between the leader's death and the next election. This package does not
// use redlock.WithTakeover: asynq itself delivers the task of a dead worker again.
//
// [TickOf] returns a task's tick. Under a middleware of this package the context also
// carries the tick and the lease (redlock.TickFrom and redlock.LeaseFrom).
//
// asynqmon's page of schedulers lists the entries of a PeriodicTaskManager, and of a
// Scheduler made with [WithHeartbeat]. asynq's history of enqueue events stays empty,
// since only asynq can write it; the ID of a task contains its tick.
//
// The middlewares report to their Locker's observer, the schedulers to [WithObserver].
// Without one, warnings and errors go to slog.Default. Each tick that is not enqueued
// and each task that is not run is an event.
package asynqadapter
