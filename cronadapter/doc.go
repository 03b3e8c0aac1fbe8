// Package cronadapter runs the same robfig/cron v3 schedule, or a fork's, on every
// replica of a service, so that each tick of each job runs on only one of them.
//
//	locker, err := redlock.New(goredis.Nodes(client))
//	jobs, err := cronadapter.New(locker)
//	c := cron.New(cron.WithLocation(time.UTC))
//	_, err = jobs.Add(c, "report", "0 9 * * *", func(ctx context.Context) error {
//		return report(ctx) // ctx ends when the lease is lost
//	})
//	c.Start()
//
// # What it does not promise
//
//   - A tick runs at most once. It is lost when the replica that claimed it dies
//     before the job ends. For the opposite see "At least once" below.
//   - A tick is also lost when no replica reaches a majority of the nodes within 10
//     minutes ([redlock.WithLateness]) or before the next tick.
//   - Missed ticks are not caught up by default. With [redlock.WithCatchUp] the
//     newest missed tick runs once: when cron starts or goes on after it stood
//     still, and after a pause or an outage.
//   - Runs of one job do not overlap, on any replica: a tick that comes while an
//     earlier run holds the lease is skipped. So cron.SkipIfStillRunning is not
//     needed. In v3.0.1 a job that panics behind it never runs again.
//   - The schedule must have the same ticks on all replicas: set a time zone with
//     cron.WithLocation, or with CRON_TZ= in the spec. A schedule that follows a
//     machine that is not on UTC causes a [Warning]. docs/schedules.md lists what
//     else makes ticks differ.
//   - robfig/cron waits for an instant on the wall clock. When the clock is set back,
//     it fires nothing until the clock reaches the old time again. After a restart of
//     the cron, the first tick after the present runs.
//
// What [redlock] says about clocks, lost data and paused processes applies here too.
// redlock.TickFrom returns the fence for a database: "where last_tick < :tick".
//
// # Jobs
//
// [Adapter.Add] replaces cron.AddFunc: it adds a function under a name, which is the
// job's key in Redis. [Adapter.AddFunc] takes a function without a context.
// [Adapter.NewJob] is for a cron.Schedule of your own, a chain for one job, or a
// fork's cron. [Adapter.Wrap] is a cron.JobWrapper, for jobs whose code cannot be
// changed. All adapters on one redlock.Locker share one namespace.
//
// A job may have a chain around it; its tick is the scheduled instant, however long
// the wrappers delay it. Retries must be inside, in the function passed to Add: from
// outside, the second try finds that its tick is done. A wrapper that returns before
// the job has begun, on another goroutine, loses runs that cron did not fire: those of
// triggers and of missed ticks.
//
// Whatever keeps a tick from running is an event of the redlock.Locker, as is the
// end of each run (redlock.Ended). Without an observer, warnings and errors are
// logged.
//
// # Ticks
//
// A tick is the instant that cron's own schedule returned, in UTC; nothing is
// computed twice. So fields for seconds, descriptors, CRON_TZ= and clock changes mean
// what they mean to cron. When 01:30 comes twice on an autumn night, both ticks run.
// In cron, "@every 90s" counts from the start of the process. Here its ticks are the
// multiples of 90 s since 1970-01-01 UTC, the same on all replicas;
// [WithoutAlignment] restores cron's own way.
//
// A run claims the newest tick that has come when it begins. So runs that
// cron.DelayIfStillRunning delays collapse into one, and a manual run through
// Entry.Job or Entry.WrappedJob is skipped because its tick is done. After a stall
// (a suspended machine, a frozen process) cron fires once for the tick it was
// waiting for and continues with the first tick in the future. The late run finds its
// tick done, or runs late, or is refused if the tick is older than the retention (15
// minutes by default).
//
// The replicas take turns, which delays runs a little; see [DefaultSpread]. Nothing
// waits for a taken lease, except under take-over.
//
// # At least once
//
// With redlock.WithTakeover, in [WithJobOptions] or in a job's own options, the
// replicas that did not get a tick wait until it is done. If its holder dies, one of
// them runs the tick again once the lock has expired. Each waits in the goroutine
// that cron started for the run, so other jobs are not delayed.
//
//   - The job must tolerate being repeated, even after it has finished: its lease may
//     have been lost, or its Unlock may not have reached a majority within the TTL. A
//     run that returns an error is done and is not repeated.
//   - Ticks run in order, one at a time. A tick that comes during an earlier run is
//     late, not lost. If the job is slower than its schedule, ticks pile up: each
//     replica queues 1000 ticks of a job and refuses further ones with [ErrBacklog],
//     and ticks older than redlock.WithRetention with redlock.ErrTickStale.
//     cron.SkipIfStillRunning around the job drops, on each replica, the ticks that
//     come while one waits or runs there.
//   - [Adapter.Stop] ends the waiting. cron.Stop does not: it waits for it. A tick
//     that no replica asked for, because all were down, is not run.
package cronadapter
