// Package gocronadapter lets many replicas run one gocron schedule, each tick
// of each job on exactly one of them.
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
// # What it does not promise
//
// A tick is run at most once, unless redlock.WithTakeover is set; see below. It
// is not run when the replica that claimed it dies, when no majority of the
// nodes answers for 10 minutes (redlock.WithLateness) or until the next tick, when
// an earlier run of the job still holds the lock, or when gocron skips it: a
// gocron that is late by more than an interval goes on with the next tick. Under
// redlock.WithCatchUp the newest tick that was missed is run once: at the start of
// a [NewScheduler] scheduler, and after a pause or an outage.
//
// The schedule must name the same instants on all replicas. Cron, daily, weekly
// and monthly jobs with an interval of 1, and one-time jobs with a fixed date
// do. These do not:
//
//   - DurationJob counts from the start of its replica. [Aligned] puts it on a
//     common grid. Without, a run is refused when it comes less than 10/11 of the
//     duration after the newest one anywhere: about one run per duration, whose
//     phase moves, and up to two durations between runs, when replicas go away.
//   - DurationRandomJob has no common ticks. Runs are at least 10/11 of the
//     minimum apart.
//   - CronJob("@every 10s"), a gocron.Cron that is not gocron's own, and calendar
//     jobs with an interval above 1 are spaced likewise, by the shortest time
//     between their ticks.
//   - WithIntervalFromCompletion: after a run its lock is kept for nine tenths of
//     the interval, so that no replica begins before. When the replica that ran
//     leaves meanwhile, the rest is a TTL at most.
//   - WithStartImmediately, and one-time jobs that start at once, begin with a
//     run that is each replica's own: it takes the lock but no tick, so each
//     replica has one, but for those that begin while another one runs the job.
//     (For DurationJob the spacing holds.)
//
// docs/schedules.md in the repository lists what else breaks it in practice.
//
// Which replica wins a tick is left to chance: each asks up to [DefaultSpread]
// after it.
//
// A Cron of WithCronImplementation is asked by several goroutines.
//
// WithLimitedRuns counts the runs of one replica.
//
// Dates of one gocron.OneTimeJobStartDateTimes that are closer than Lock takes
// make gocron 2.21 hang; NewJob warns when they are less than 5 s apart. So does a
// Start once the last date has passed; Start of [NewScheduler] removes such a job.
//
// Every refusal, redlock's or this package's, is an event of the redlock.Locker,
// which logs it by default, and reaches gocron's AfterLockError. gocron itself
// logs nothing and counts them as skipped. gocron throws away what Unlock
// returns; a loss is told by the run's context and by the observer. A schedule
// that will surprise is an event of the kind [Warning].
//
// A BeforeJobRunsSkipIfBeforeFuncErrors that returns an error does so once the
// tick is claimed. At most once, no replica then runs it; under take-over
// another one does. Either is an event that matches [ErrVetoed], if the job's
// task is a [Task]: another function does not say whether it was called.
//
// # At least once
//
// With redlock.WithTakeover, in [WithJobOptions] or [WithJob], a tick whose
// run is not known to have ended is run again: by another replica when the
// holder dies, by the same one when it lost its lease. Lock answers at once as
// ever; a refused tick stands by until it is over. When the holder's lock has
// expired, a TTL after its death at the latest, one of those that stand by gets
// it and starts a run with the job's RunNow. What this does not promise:
//
//   - A run may be repeated though it came to its end: when the lease was lost
//     meanwhile, or its Unlock reached no majority within the TTL. One that
//     returns an error, or panics, has ended. One that kills its replica, or always loses
//     its lease (redlock.WithMaxHold), is repeated until the retention is over.
//   - Standing by ends with the job: Shutdown, StopJobs, RemoveJob (but a job of
//     its name goes on, see [NewScheduler]), WithStopDateTime, the last of
//     WithLimitedRuns, redlock's Locker.Close. Other replicas must be there. A
//     tick that nobody asked for, since all were down or their gocron skipped
//     it, is not run.
//   - A tick waits for no longer than redlock.WithRetention, 15 minutes by
//     default; after that only redlock's observer is told (ErrTickStale).
//   - Ticks are run in order and one at a time, also those that were refused
//     because an earlier run was not over: they run late, not never. If the job
//     is slower than its schedule they pile up. On each replica 1000 ticks of a
//     job stand by; further ones are refused with [ErrBacklog].
//   - A replica that starts, or was frozen for more than 16 ticks, knows nothing
//     of the ticks that stand by elsewhere. If its own tick comes in the very
//     moment in which the lock is free, it is run first, and those are not run.
//   - Without common ticks (DurationJob that is not Aligned, DurationRandomJob)
//     there is nothing to take over. Another replica's own tick is run instead,
//     as soon as the dead holder's lock has expired.
//   - Runs without a tick, such as RunNow, are not taken over.
//   - gocron hangs at its next Start when RunNow reaches it stopped. With
//     [Locker.Attach], a stand-by that starts a run in the very moment of a
//     StopJobs may do that; Shutdown is safe. [NewScheduler] prevents it.
//
// The Locker must be attached, else Lock refuses with [ErrNoTick]. Each job
// costs a goroutine while a tick is run or stands by, and nothing in Lock. All
// runs of a job are alike: a run of the schedule that comes first takes the
// oldest tick, and the run that was started for that one, should it find
// nothing left, is refused with [ErrNoTick] or redlock's ErrTaken. A RunNow of
// yours that comes in between may run such a tick too. The extra runs count
// for WithLimitedRuns and reach the event listeners. A singleton job does not
// lose the ticks that gocron drops or queues while it runs.
//
// When gocron starts no run, being full (WithLimitConcurrentJobs), it is asked
// again for about a TTL. Then the lock is left to expire, and the other
// replicas get the first chance: it may take three TTLs until the tick is run.
//
// # What it does
//
// [NewScheduler] makes a gocron scheduler that gives each job a Locker of its
// own; or make a [Locker] and a scheduler, and [Locker.Attach] them. gocron
// passes a Locker the name of a job but not the tick, so the Locker asks the job:
// the newest pending tick that is due. It claims that tick on the nodes, under
// the name of the job, and waits for nobody. So a tick that was run is not run
// again, whatever the clocks of the replicas show and however short the job was.
// A run that no tick is due for was started by RunNow, or at once: it takes the
// lock and no tick.
//
// The job's name is its identity on all replicas. Two jobs of one name on one
// redlock.Locker, and functions without a name, which have only a number in the
// build, are refused: see [ErrJobName]. Two services on one Redis that may have
// jobs of one name need redlock.WithPrefix.
//
// gocron can queue runs (LimitModeWait, in singleton mode and as a limit). A run
// that has waited runs the newest tick that is due; those behind it find no
// tick left and are refused with [ErrNoTick].
//
// [Task] hands the job the context of its own run, which ends when the lease is
// lost, and with redlock.TickFrom the tick: the natural fence for writes of the kind
// "… WHERE last_tick < :tick".
//
// [Elector] is the other way gocron offers: only the leader runs jobs. A term
// may begin between the clocks of two replicas, so a tick may run twice or not
// at all when the leader changes. gocron asks either an elector or a locker.
package gocronadapter
