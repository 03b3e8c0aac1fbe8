package cronadapter_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// dates is a list whose Next may return its argument, an easy mistake that plain cron forgives, since it asks a little later.
type dates []time.Time

func (d dates) Next(t time.Time) time.Time {
	i := slices.IndexFunc(d, func(at time.Time) bool { return !at.Before(t) })
	if i < 0 {
		return time.Time{}
	}
	return d[i]
}

// Seen to fail when only the first answer was looked at.
func TestAdapter_NewJob_refuses(t *testing.T) {
	a := newAdapter(t)
	for says, schedule := range map[string]cronadapter.Schedule{
		"is nil":                  nil,
		"must be later":           scheduleFunc(func(t time.Time) time.Time { return t }),
		"must be later or zero; ": dates{time.Now().Add(time.Hour), time.Now().Add(2 * time.Hour)},
	} {
		if _, err := a.NewJob("job", schedule, nothing); !errors.Is(err, redlock.ErrInvalid) || !hasAll(err.Error(), `"job"`, says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, err := a.AddFunc(cron.New(), "job", "* * * * *", nil); !errors.Is(err, redlock.ErrInvalid) || !hasAll(err.Error(), `"job"`, "is nil") {
		t.Errorf("no function: %v", err)
	}
}

// sticky is every minute, but has an instant that is followed by itself.
type sticky struct{ at time.Time }

func (s sticky) Next(t time.Time) time.Time {
	if t.Equal(s.at) {
		return t
	}
	return t.Truncate(time.Minute).Add(time.Minute)
}

// A schedule that stands still at some instant must not make a reload or a catch-up loop forever.
//
// Seen to fail: each of them hung.
func TestJob_schedule_stands_still_at_an_instant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		travel(nights[0].noon)
		f, at := newFleet(t, 1), time.Now().Truncate(time.Minute).Add(2*time.Minute)
		add := func(r *replica) { r.schedule("job", sticky{at}, nothing, redlock.WithCatchUp(time.Hour)) }
		a, b := f.replica("a", 0), f.replica("b", 0)
		add(a)
		a.Start()
		travel(at.Add(-2 * time.Second))
		a.a.Remove(a.Cron, "job")
		travel(at.Add(5 * time.Second))
		add(a)
		add(b)
		b.Start()
		time.Sleep(time.Minute)
		leaveAll([]*replica{a, b})
		same(t, "job", f.of("job"), []time.Time{at.Add(-time.Minute), at, at.Add(time.Minute)})
	})
}
