// Package asynqadapter has periodic tasks of asynq run once per tick, and tasks
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
//   - asynq delivers at least once. A task whose worker dies, whose Timeout ends or
//     whose server is shut down comes again, and so do its effects. What this package
//     adds is that deliveries do not overlap, and that a tick has one task.
//   - A lock is only as good as redlock's: see the limits there. A handler that is
//     paused past the end of its lease may overlap with the next one; it learns of the
//     loss through its context.
//   - A task without retries left cannot be sent back to the queue: asynq archives it
//     whatever error it gets. It waits in its worker instead; when its own Timeout or
//     Deadline ends first, it is archived all the same. Give tasks that may find their
//     key busy at least one retry.
//   - Servers that use [Middleware] or [OncePerTick] must be made with [Configure]'s
//     result, or each sending back costs a retry.
//   - Leases of handlers that outlive the Shutdown of their asynq.Server end with the
//     process. Close redlock's Locker after that Shutdown.
//
// # What it has
//
//   - [Scheduler]: a scheduler for every replica, with asynq's verbs, and the choice
//     for new code. Each tick is enqueued once, without a leader and without a gap. It
//     needs no Locker: asynq's own Redis decides.
//   - [PeriodicTaskManager]: the same for asynq's manager, whose entries come from a
//     provider. Changing the package name of NewPeriodicTaskManager is all.
//   - [Middleware]: one handler per key at a time.
//   - [Stamp] and [OncePerTick]: a stock asynq.Scheduler on every replica, and workers
//     that drop the duplicates.
//
// A stock scheduler on a leader only, by redlock's Elector, loses the ticks between a
// leader's death and the next election. redlock.WithTakeover has no place in this
// package: what it does for a dead job, asynq does for a dead worker.
//
// [TickOf] reads a task's tick. Under a middleware of this package the context has it,
// too, and the lease: redlock.TickFrom and redlock.LeaseFrom.
//
// A PeriodicTaskManager's entries are on asynqmon's page of schedulers, and so are a
// Scheduler's that was made with [WithHeartbeat]. asynq's history of enqueue events
// stays empty, since asynq alone can write it; a task's ID has its tick.
//
// The middlewares report to their Locker's observer, the schedulers to [WithObserver].
// Without either, warnings and errors go to slog.Default. Each tick that is not
// enqueued and each task that is not run is an event.
package asynqadapter
