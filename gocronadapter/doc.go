// Package gocronadapter lets many replicas run one gocron schedule, each tick
// of each job on one of them.
//
//	locker, err := redlock.New(goredis.Nodes(client))
//	scheduler, err := gocronadapter.NewScheduler(locker)
//	_, err = scheduler.NewJob(
//		gocron.CronJob("0 9 * * *", false),
//		gocronadapter.Task(report), // func(ctx context.Context) error; ctx ends when the lease is lost
//		gocron.WithName("report"),  // what the replicas agree on
//	)
//	scheduler.Start()
//
// [NewScheduler] makes a gocron scheduler whose jobs are locked. If the scheduler
// is made elsewhere, make a [Locker] and call [Locker.Attach].
//
// A job's name is its identity on all replicas. Two jobs with the same name on
// one redlock.Locker are refused, and so are functions without a name, which the
// compiler merely numbers: see [ErrJobName]. Services that share a Redis and may
// use the same job names need redlock.WithPrefix.
//
// [Task] gives the job the context of its own run, which ends when the lease is
// lost. redlock.TickFrom returns the run's tick from it, a natural fence for
// writes of the kind "… WHERE last_tick < :tick".
//
// # What it does not promise
//
// A tick runs at most once, unless redlock.WithTakeover is set; see At least once
// below. It does not run at all when
//
//   - the replica that claimed it dies;
//   - no majority of the nodes answers for 10 minutes (redlock.WithLateness), or
//     until the next tick;
//   - an earlier run of the job still holds the lock;
//   - gocron skips it: when gocron is late by more than an interval, it goes on
//     with the next tick.
//
// With redlock.WithCatchUp the newest missed tick runs once: when a scheduler of
// [NewScheduler] starts, and after a pause or an outage.
//
// The schedule must name the same instants on all replicas. Cron, daily, weekly
// and monthly jobs with an interval of 1 do, and so do one-time jobs with a fixed
// date. These do not:
//
//   - DurationJob counts from the start of its replica. [Aligned] puts it on a
//     grid that all replicas share. Otherwise a run is refused if it comes less
//     than 10/11 of the duration after the newest run on any replica. That gives
//     about one run per duration, but its phase moves, and runs may be up to two
//     durations apart when replicas go away.
//   - DurationRandomJob: runs are at least 10/11 of the minimum apart.
//   - CronJob("@every 10s"), a gocron.Cron that is not gocron's own, and calendar
//     jobs with an interval above 1: runs are at least 10/11 of the shortest time
//     between ticks apart.
//   - WithIntervalFromCompletion: the lock is kept for nine tenths of the interval
//     after a run, so that no replica begins earlier. If the replica that ran
//     leaves meanwhile, the lock lasts for one more TTL at most.
//   - WithStartImmediately, and one-time jobs that start at once: each replica has
//     a first run of its own, which takes the lock but no tick. It is refused
//     while another replica runs the job. (For DurationJob the spacing holds.)
//
// docs/schedules.md in the repository lists what else makes schedules differ.
//
// Some limits follow from gocron:
//
//   - The replicas take turns, which delays runs a little; see [DefaultSpread].
//   - WithLimitedRuns counts the runs of one replica.
//   - The Cron of WithCronImplementation is called by several goroutines.
//   - gocron 2.21 hangs when the dates of one gocron.OneTimeJobStartDateTimes are
//     closer together than Lock takes; NewJob warns below 5 s. It also hangs at a
//     Start after the last date; Start of [NewScheduler] removes such a job.
//
// # Refusals and losses
//
// Every refusal, by redlock or by this package, is an event of the redlock.Locker,
// which logs warnings and errors by default, and reaches gocron's AfterLockError.
// gocron itself counts it as skipped and logs nothing. gocron discards the error of
// Unlock; a lost lease shows in the run's context and at the observer. A schedule
// that works but will surprise is an event of the kind [Warning].
//
// A BeforeJobRunsSkipIfBeforeFuncErrors listener is called once the tick is
// claimed. If it returns an error, no replica runs the tick; under take-over
// another one does. Either way the observer gets an event that matches
// [ErrVetoed], if the job's task is a [Task]: any other task does not say whether
// it was called.
//
// # At least once
//
// With redlock.WithTakeover, in [WithJobOptions] or [WithJob], a tick whose run is
// not known to have ended runs again: on another replica when the holder dies, on
// the same one when it lost its lease. Lock still answers at once; a refused tick
// stands by until it is over. When the holder's lock has expired, at most a TTL
// after its death, one of the replicas that stand by claims the tick and starts a
// run with the job's RunNow. The Locker must be attached; otherwise Lock refuses
// with [ErrNoTick]. The limits:
//
//   - A finished run may be repeated, if its lease was lost meanwhile or its Unlock
//     reached no majority within the TTL. A run that returns an error, or panics,
//     has ended. A run that kills its replica, or always loses its lease
//     (redlock.WithMaxHold), is repeated until the retention is over.
//   - Another replica must be up. A tick that nobody asked for, because all were
//     down or their gocron skipped it, does not run.
//   - Ticks run in order and one at a time, also those that were refused because an
//     earlier run was not over: late, not never. They pile up if the job is slower
//     than its schedule. On each replica 1000 ticks of a job stand by; further ones
//     are refused with [ErrBacklog].
//   - A tick stands by for no longer than redlock.WithRetention, 15 minutes by
//     default. Then it is dropped, with an ErrTickStale at redlock's observer.
//   - Standing by ends with the job: at Shutdown, StopJobs, RemoveJob (but a new job
//     of its name goes on, see [NewScheduler]), WithStopDateTime, the last of
//     WithLimitedRuns, and redlock's Locker.Close.
//   - A replica that starts, or was frozen for more than 16 ticks, does not know
//     which ticks stand by elsewhere. If its own tick comes at the very moment the
//     lock is free, that tick runs first, and the others do not run.
//   - Without common ticks (DurationJob without Aligned, DurationRandomJob) there is
//     nothing to take over. Another replica's own tick runs instead, as soon as the
//     dead holder's lock has expired.
//   - Runs without a tick, such as RunNow, are not taken over.
//   - gocron hangs at its next Start when RunNow reaches it stopped. With
//     [Locker.Attach], a run that is started at the very moment of a StopJobs may do
//     that; Shutdown is safe. [NewScheduler] prevents it.
//
// All runs of a job are alike: whichever comes first, of the schedule or by your
// RunNow, may take the oldest tick. A run that then finds none left is refused with
// [ErrNoTick] or redlock's ErrTaken. The extra runs count for WithLimitedRuns and
// reach the event listeners. A singleton job does not lose the ticks that gocron
// drops or queues while it runs. A job costs one goroutine while a tick runs or
// stands by, and nothing in Lock.
//
// When gocron starts no run because it is full (WithLimitConcurrentJobs), it is
// asked again for about a TTL. Then the lock is left to expire, and the other
// replicas get the first chance: it may take three TTLs until the tick runs.
//
// # How it works
//
// gocron passes a Locker the name of a job but not the tick, so the Locker asks the
// job: the newest pending tick that is due. It claims that tick on the nodes, under
// the name of the job, and waits for no other replica. So a tick that has run does
// not run again, whatever the replicas' clocks show and however short the run was.
// A run for which no tick is due was started by RunNow, or at once: it takes the
// lock and no tick.
//
// gocron can queue runs (LimitModeWait, in singleton mode and as a limit). A queued
// run takes the newest tick that is due; the runs behind it find no tick left and
// are refused with [ErrNoTick].
//
// # Elector
//
// [Elector] is the other way gocron offers: only the leader runs jobs. A term may
// begin between the clocks of two replicas, so a tick may run twice or not at all
// when the leader changes. gocron asks either an elector or a locker.
package gocronadapter
