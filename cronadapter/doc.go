// Package cronadapter lets every replica of a service run the same
// robfig/cron v3 schedule while each tick of each job runs on one of them. It
// serves forks of robfig/cron as well.
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
// A tick runs at most once, not at least once. It is lost when the replica that
// claimed it dies before its job has ended; [redlock.WithTakeover] lets
// another one run it again, so such a job must bear to be repeated. It is also
// lost when no replica reaches a majority of the nodes for 10 minutes
// ([redlock.WithLateness]), or until the next tick.
//
// Under [redlock.WithCatchUp] the newest tick that was missed is run once: when
// cron is started, or goes on after it stood still, and after a pause or an
// outage. For a job of [Adapter.Add] that goes through the cron's chain. Else
// nothing is caught up. cron itself skips ticks: after a stall (a suspended
// machine, a process that was frozen) it fires once for the tick it was waiting
// for, and goes on with the first one that lies ahead. Such a late run claims
// the instant it was scheduled for, not the one at which it woke up, so it
// finds that another replica was there, or runs late. A tick older than the
// retention (15 minutes by default) is refused.
//
// Runs of one job do not overlap, on any replica: a tick that comes while an
// earlier run still holds the lease is skipped. So cron.SkipIfStillRunning is
// not needed, and in v3.0.1 a job that panics behind it never runs again.
//
// A run that reaches its claim only after the following tick has come claims
// that one: behind cron.DelayIfStillRunning, delayed runs collapse into one.
// So does a run that is started by hand, through Entry.Job or
// Entry.WrappedJob: it finds its tick done, and is skipped.
//
// The schedule must have the same instants on all replicas, so give the cron a
// time zone with cron.WithLocation, or the spec one with CRON_TZ=. A schedule
// that follows a machine that is not on UTC is a [Warning]. docs/schedules.md
// lists what else breaks common instants.
//
// robfig/cron waits for an instant on the clock, so when the clock is set back
// while it runs, it fires nothing until the old time is reached again. Stop and
// Start it: then the first tick after the present is run.
//
// What [redlock] says about clocks, lost data and paused processes holds here
// too. redlock.TickFrom is the fence that a database can check: "where last_tick
// < :tick".
//
// # What it does
//
// [Adapter.Add] takes the place of cron.AddFunc: it adds a function with a
// name, which is its key in Redis. [Adapter.NewJob] does the same for a
// cron.Schedule of your own, a chain of one job's own, or a fork's cron.
// [Adapter.AddFunc] takes a plain function. [Adapter.Wrap] is a
// cron.JobWrapper, for jobs whose code cannot be changed. The names of all
// adapters on one redlock.Locker are one namespace.
//
// A chain may stand around a job, and the tick is the instant of the schedule
// however late its wrappers are. What retries a job must stand inside, in the
// function that is passed to Add: from outside, the second try finds its tick
// done.
//
// A tick is what cron's own schedule answered, as an instant in UTC: nothing is
// computed a second time. So fields for seconds, descriptors, CRON_TZ= and the
// days on which clocks change mean what they mean to cron. Of two ticks at
// 01:30 on an autumn night both run.
//
// "@every 90s" counts from the start of a process in cron, so its ticks are
// different on every replica. Here they are the multiples of 90 s since
// 1970-01-01 UTC, the same everywhere; [WithoutAlignment] brings cron's way
// back.
//
// A replica asks for a tick up to [DefaultSpread] late, so that not always the
// same one wins. Nothing waits for a taken lease, except under take-over.
//
// Whatever keeps a tick from running is an event of the redlock.Locker, and
// without an observer a line in the log. So is a job that fails: redlock.Ended.
//
// # At least once
//
// With redlock.WithTakeover, in [WithJobOptions] or in a job's own options,
// losers wait until the tick is over, or the lock of a holder that died has
// expired and one of them runs the tick again. cron runs each job in a goroutine
// of its own, so that costs this goroutine and delays no other job.
//
//   - A run may be repeated though it came to its end, when its lease was lost
//     meanwhile or its Unlock reached no majority within the TTL. One that
//     returns an error has ended.
//   - Ticks are run in order and one at a time, also those that come while an
//     earlier one is run: they run late, not never. If the job is slower than
//     its schedule they pile up, and run later and later. On each replica 1000
//     ticks of a job wait, each in its goroutine; further ones are refused with
//     [ErrBacklog], and those that are older than redlock.WithRetention (15
//     minutes by default) with redlock.ErrTickStale. cron.SkipIfStillRunning
//     around the job drops on each replica what comes while a tick waits or is
//     run there.
//   - Waiting ends with [Adapter.Stop], not with cron.Stop, which waits for it.
//     A tick that nobody asked for, since all were down, is not run.
package cronadapter
