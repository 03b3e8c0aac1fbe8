package asynqadapter_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/redtick/redtick/asynqadapter"
	"github.com/redtick/redtick/redlock"
)

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	where, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// The newest tick up to an instant, against the chain that robfig itself
// fires, over a year with both nights on which clocks change.
//
// Mutations: no check of tick.After; the walk ended at its first tick; UTC() left out of after.
func TestSchedule_upTo(t *testing.T) {
	specs := []string{
		"* * * * *", "*/7 3-5 * * *", "30 1 * * *", "30 2 * * *", "0 0 31 * *", "0 12 29 2 *", "59 23 * * 0",
		"@hourly", "@daily", "@monthly", "@yearly", "CRON_TZ=Australia/Lord_Howe 45 1 * * *", "CRON_TZ=Europe/Berlin 30 2 * * *",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, zone := range []string{"UTC", "America/New_York", "Europe/Berlin"} {
		where := location(t, zone)
		for _, spec := range specs {
			chain, err := cron.ParseStandard(spec)
			if err != nil {
				t.Fatal(err)
			}
			for range 25 {
				from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(random.Int64N(int64(365 * 24 * time.Hour))))
				older := chain.Next(from.In(where))
				newer := chain.Next(older)
				for _, at := range []time.Time{older, older.Add(time.Nanosecond), newer.Add(-time.Nanosecond)} {
					got, err := asynqadapter.UpTo(spec, where, at)
					if err != nil || !got.Equal(older) || got.Location() != time.UTC {
						t.Fatalf("%q in %s at %v: got %v, %v; want %v", spec, zone, at, got, err, older.UTC())
					}
				}
			}
		}
	}
}

// Mutations: Truncate (which counts from the year 1) instead of the time since 1970; no + every.
func TestSchedule_every(t *testing.T) {
	for _, c := range []struct {
		spec string
		at   int64
		want int64
	}{
		{"@every 90s", 0, 90}, {"@every 90s", 89, 90}, {"@every 90s", 90, 180},
		{"@every 7h", 1_800_000_000, 1_800_010_800}, // 71429 * 25200
		{"CRON_TZ=Europe/Berlin @every 1m30s", 91, 180},
	} {
		got, err := asynqadapter.After(c.spec, time.UTC, time.Unix(c.at, 0))
		if err != nil || got.Unix() != c.want {
			t.Errorf("%s after %d: got %d, %v; want %d", c.spec, c.at, got.Unix(), err, c.want)
		}
	}
}

// Mutation for each row: the check left out (robfig panics for the first two).
func TestSchedule_invalid(t *testing.T) {
	for _, c := range []struct{ spec, says string }{
		{"CRON_TZ=Europe/Berlin", "30 9 * * *"}, {"TZ=", "30 9"}, {"", "five fields"}, {"* * * *", "five fields"},
		{"* * * * * *", "five fields"}, {"CRON_TZ=Nowhere * * * * *", "Nowhere"}, {"@fortnightly", "fortnightly"},
		{"@every 500ms", "at least 1s"}, {"@every 1.5s", "whole seconds"}, {"@every -1m", "at least 1s"}, {"@every day", "day"},
	} {
		if _, err := asynqadapter.After(c.spec, time.UTC, time.Now()); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: got %v, want ErrInvalid that mentions %q", c.spec, err, c.says)
		}
	}
}
