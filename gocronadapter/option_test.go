package gocronadapter_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/redtick/redtick/gocronadapter"
	"github.com/redtick/redtick/redlock"
)

// Each refusal says what is wrong and what to do.
//
// Seen to fail when check returns nil.
func TestNewScheduler_refusals(t *testing.T) {
	mutex := gocronadapter.WithJobOptions
	job := func(opts ...redlock.JobOption) gocronadapter.Option { return gocronadapter.WithJob("j", opts...) }
	for name, c := range map[string]struct {
		opt  gocronadapter.Option
		says string
	}{
		"nil option":         {nil, "leave it out"},
		"nil clock":          {gocronadapter.WithClock(nil), "leave WithClock out"},
		"window too short":   {gocronadapter.WithWindow(time.Millisecond), "1ms, must be 10ms to 24h"},
		"window too long":    {gocronadapter.WithWindow(25 * time.Hour), "25h0m0s, must be 10ms to 24h"},
		"window":             {gocronadapter.WithWindow(time.Minute), "leave WithWindow out"},
		"take-over, owner":   {mutex(redlock.WithTakeover(), redlock.WithOwner("us")), "exclude each other"},
		"owner":              {mutex(redlock.WithOwner("us")), "needs WithAnyOrder"},
		"any order":          {mutex(redlock.WithAnyOrder()), "come in order"},
		"TTL":                {mutex(redlock.WithTTL(time.Millisecond)), "TTL is 1ms"},
		"TTL of a job":       {job(redlock.WithTTL(time.Millisecond)), "TTL is 1ms"},
		"job without a name": {gocronadapter.WithJob("", redlock.WithTTL(time.Second)), "name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gocronadapter.NewScheduler(newRedlock(t), c.opt)
			if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want redlock.ErrInvalid that says %q", err, c.says)
			}
		})
	}
}

// The options of the redlock.Locker count too.
func TestNewLocker_defaults_of_the_locker(t *testing.T) {
	for name, opt := range map[string]redlock.JobOption{
		"any order": redlock.WithAnyOrder(),
	} {
		if _, err := gocronadapter.NewLocker(newRedlock(t, opt)); !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, opts := range map[string][]redlock.LockerOption{
		"none": nil, "spacing": {redlock.WithSpacing(time.Minute)}, "fencing": {redlock.WithFencing()},
		"ttl": {redlock.WithTTL(time.Second)}, "guard": {redlock.WithRestartGuard(time.Hour)}, "no renewal": {redlock.WithoutRenewal()},
		"take-over": {redlock.WithTakeover()}, "take-over, spacing": {redlock.WithTakeover(), redlock.WithSpacing(time.Minute)},
	} {
		if _, err := gocronadapter.NewLocker(newRedlock(t, opts...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewLocker_refusals(t *testing.T) {
	if _, err := gocronadapter.NewLocker(nil); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("no locker: %v", err)
	}
	if _, err := gocronadapter.NewScheduler(nil); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("no locker: %v", err)
	}
	_, err := gocronadapter.NewLocker(newRedlock(t), gocronadapter.WithSchedulerOptions(gocron.WithLocation(time.UTC)))
	if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), "makes no scheduler") {
		t.Errorf("gocron's options: %v", err)
	}
	_, err = gocronadapter.NewLocker(newRedlock(t), gocronadapter.WithJob("j"), gocronadapter.WithJob("j"))
	if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), `"j" twice`) {
		t.Errorf("a job twice: %v", err)
	}
	_, err = gocronadapter.NewScheduler(newRedlock(t), gocronadapter.WithSchedulerOptions(gocron.WithLocation(nil)))
	if !errors.Is(err, gocron.ErrWithLocationNil) {
		t.Errorf("gocron's own refusal: %v", err)
	}
}

func TestAligned_refusals(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Second} {
		_, err := newGocron(t).NewJob(gocron.DurationJob(time.Second), gocronadapter.Task(work), gocronadapter.Aligned(d))
		if !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("Aligned(%v): %v", d, err)
		}
	}
}

func TestTask_nil(t *testing.T) {
	e, err := gocronadapter.NewElector(newRedlock(t), "schedule")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range []gocron.Task{gocronadapter.Task(nil), e.Task(nil)} {
		if _, err := newGocron(t).NewJob(everySecond(), task); !errors.Is(err, gocron.ErrNewJobTaskNotFunc) {
			t.Errorf("NewJob: %v", err)
		}
	}
}

// The documented default and range.
func TestWithWindow_default(t *testing.T) {
	if gocronadapter.DefaultWindow != time.Second {
		t.Error("the documentation says 1 s")
	}
	for _, d := range []time.Duration{10 * time.Millisecond, 24 * time.Hour} {
		if _, err := gocronadapter.NewLocker(newRedlock(t), gocronadapter.WithWindow(d)); err != nil {
			t.Error(err)
		}
	}
}
