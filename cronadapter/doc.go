// Package cronadapter lets every replica of a service run the same
// robfig/cron v3 schedule while each tick of each job runs on one of them.
//
// # What it does not promise
//
// A tick runs at most once, not at least once. It is lost when the replica that
// claimed it dies before its job has ended; [redlock.WithTakeover] lets
// another one run it again, so such a job must bear to be repeated. It is also
// lost when no replica reaches a majority of the nodes.
//
// There is no catching up. cron itself skips ticks: after a stall (a suspended
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
// What [redlock] says about clocks, lost data and paused processes holds here
// too. [TickFrom] is the fence that a database can check: "where last_tick <
// :tick".
//
// # What it does
//
// [Adapter.Add] takes the place of cron.AddFunc: it adds a function with a
// name, which is its key in Redis. [Adapter.NewJob] does the same for a
// cron.Schedule of your own or a chain of one job's own. [Adapter.Wrap] is a
// cron.JobWrapper, for jobs whose code cannot be changed.
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
// Nothing waits for a taken lease, except under redlock.WithTakeover, where a
// tick waits for its turn. cron runs each job in a goroutine of its own, so that
// costs this goroutine and delays no other job.
package cronadapter
