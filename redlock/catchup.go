package redlock

import (
	"context"
	"errors"
	"time"
)

// CatchUp returns how old a missed tick may be to be run, or 0 if none is; see
// [WithCatchUp].
func (j *Job) CatchUp() time.Duration { return j.t.cfg.catchUp }

// maxMissedPause is the longest pause before Missed asks again.
const maxMissedPause = 15 * time.Second

// Missed returns the tick to catch up on under [WithCatchUp], which the caller then
// claims, or the zero time if there is none. newest must return the newest instant of
// the schedule that has come and is no older than [Job.CatchUp], or the zero time.
// That tick was missed if [Job.LastTick] is an earlier one. So on the first
// deployment nothing was missed.
//
// While the job is paused, or no majority of the nodes answers, Missed waits until
// ctx ends or the newest tick is too old.
func (j *Job) Missed(ctx context.Context, newest func() time.Time) (time.Time, error) {
	for begin := time.Now(); ; {
		tick := newest()
		if tick.IsZero() {
			return time.Time{}, nil
		}
		missed, err := j.missed(ctx, tick)
		switch {
		case err == nil && missed:
			return tick, nil
		case err == nil || !errors.Is(err, ErrPaused) && !refusalOf(err).lacksQuorum():
			return time.Time{}, err
		}
		if ended := j.t.delay(ctx, begin, maxMissedPause); ended != nil {
			return time.Time{}, errors.Join(ended, err)
		}
	}
}

func (j *Job) missed(ctx context.Context, tick time.Time) (bool, error) {
	last, err := j.LastTick(ctx)
	if err != nil || last.IsZero() || !last.Before(tick) {
		return false, err
	}
	tally, err := j.t.ask(ctx, "missed", tick.UnixMilli(), j.t.name.Look(tick.UnixMilli(), "", ""))
	if err == nil && tally.Blocks(tally.Paused) {
		err = j.t.fail("missed", tick.UnixMilli(), &tally, ErrPaused)
	}
	return err == nil, err
}
