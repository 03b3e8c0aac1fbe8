// Package cronadapter lets every replica of a service run the same
// robfig/cron v3 schedule, or that of a fork, while each tick of each job runs on
// one of them.
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
//   - A tick runs at most once, not at least once: it is lost when the replica that
//     claimed it dies before its job has ended. See below for the other way.
//   - It is lost as well when no replica reaches a majority of the nodes for 10
//     minutes ([redlock.WithLateness]), or until the next tick.
//   - Nothing is caught up, unless by [redlock.WithCatchUp]: then the newest tick
//     that was missed is run once when cron is started, or goes on after it stood
//     still, and after a pause or an outage.
//   - Runs of one job do not overlap, on any replica: a tick that comes while an
//     earlier run holds the lease is skipped. So cron.SkipIfStillRunning is not
//     needed, and in v3.0.1 a job that panics behind it never runs again.
//   - The schedule must have the same instants on all replicas: give the cron a time
//     zone with cron.WithLocation, or the spec one with CRON_TZ=. A schedule that
//     follows a machine that is not on UTC is a [Warning]. docs/schedules.md lists
//     what else breaks common instants.
//   - robfig/cron waits for an instant on the clock. When the clock is set back while
//     it runs, it fires nothing until the old time is reached again, or until it is
//     stopped and started: then the first tick after the present is run.
//
// What [redlock] says about clocks, lost data and paused processes holds here too.
// redlock.TickFrom is the fence that a database can check: "where last_tick < :tick".
//
// # Jobs
//
// [Adapter.Add] takes the place of cron.AddFunc: it adds a function with a
// name, which is its key in Redis. [Adapter.AddFunc] takes a plain function.
// [Adapter.NewJob] is for a cron.Schedule of your own, a chain of one job's own, or
// a fork's cron. [Adapter.Wrap] is a cron.JobWrapper, for jobs whose code cannot be
// changed. The names of all adapters on one redlock.Locker are one namespace.
//
// A chain may stand around a job, and the tick is the instant of the schedule
// however late its wrappers are. What retries a job must stand inside, in the
// function that is passed to Add: from outside, the second try finds its tick done.
//
// Whatever keeps a tick from running is an event of the redlock.Locker, and without
// an observer a line in the log. So is a job that fails: redlock.Ended.
//
// # Ticks
//
// A tick is what cron's own schedule answered, as an instant in UTC: nothing is
// computed a second time. So fields for seconds, descriptors, CRON_TZ= and the days
// on which clocks change mean what they mean to cron. Of two ticks at 01:30 on an
// autumn night both run. "@every 90s" counts from the start of a process in cron.
// Here its ticks are the multiples of 90 s since 1970-01-01 UTC, the same
// everywhere; [WithoutAlignment] brings cron's way back.
//
// A run claims the newest tick that has come when it begins. Behind
// cron.DelayIfStillRunning, delayed runs collapse into one. A run by hand, through
// Entry.Job or Entry.WrappedJob, finds its tick done and is skipped. After a stall
// (a suspended machine, a frozen process) cron fires once for the tick it was
// waiting for, and goes on with the first one that lies ahead. That late run finds
// that another replica was there, or runs late, or is refused when the tick is
// older than the retention (15 minutes by default).
//
// A replica asks for a tick up to [DefaultSpread] late, so that not always the same
// one wins. Nothing waits for a taken lease, except under take-over.
//
// # At least once
//
// With redlock.WithTakeover, in [WithJobOptions] or in a job's own options, losers
// wait until the tick is over, or the lock of a holder that died has expired and one
// of them runs the tick again. Each waits in the goroutine that cron gave its run,
// so no other job is delayed.
//
//   - Such a job must bear to be repeated, even after it came to its end: when its
//     lease was lost meanwhile, or its Unlock reached no majority within the TTL. A
//     run that returns an error has ended.
//   - Ticks are run in order and one at a time, also those that come while an
//     earlier one is run: late, not never. If the job is slower than its schedule
//     they pile up. On each replica 1000 ticks of a job wait; further ones are
//     refused with [ErrBacklog], and those older than redlock.WithRetention with
//     redlock.ErrTickStale. cron.SkipIfStillRunning around the job drops on each
//     replica what comes while a tick waits or is run there.
//   - Waiting ends with [Adapter.Stop], not with cron.Stop, which waits for it. A tick
//     that nobody asked for, since all were down, is not run.
package cronadapter
