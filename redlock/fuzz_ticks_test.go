package redlock_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// FuzzTicks claims any instant. Only what lies between the retention and the largest skew is granted, as the instant it
// was, cut to milliseconds, and once.
//
// Mutations it fails under: ticks before 1970 or of year 10000 are let through; the largest skew or the retention is not
// looked at.
func FuzzTicks(f *testing.F) {
	now := startOfBubble.Unix()
	for _, sec := range []int64{
		now, now - 1, now + 1, now - 899, now - 900, now - 901, now + 299, now + 300, now + 301, 0, -1, 1, -62135596800,
		253402300799, 253402300800, 1 << 40, -(1 << 40), math.MaxInt64 / 1000, math.MinInt64 / 1000, math.MaxInt64, now * 1000, now / 1000,
	} {
		for _, ns := range []int64{0, 1, 999_999, 1_000_000, 1_500_000, 999_999_999} {
			f.Add(sec, ns)
		}
	}
	f.Fuzz(func(t *testing.T, sec, ns int64) {
		tick := time.Unix(sec, ns%int64(time.Second))
		if sec < -1<<50 {
			t.Skip("milliseconds wrap around")
		}
		inBubble(t, 1, func(t *testing.T, fl *fleet) {
			a, b := fl.process("a").mutex(t, "job"), fl.process("b").mutex(t, "job")
			begin := time.Now()
			lease, err := a.Claim(t.Context(), tick)
			if want := ruling(tick, begin); !errors.Is(err, want) || (want == nil) != (err == nil) {
				t.Errorf("tick %v at %v: %v, want %v", tick, begin, err, want)
			}
			if err != nil {
				return
			}
			if exact := tick.UTC().Truncate(time.Millisecond); !lease.Tick().Equal(exact) || lease.Fence() != exact.UnixMicro() || !redlock.TickOf(lease.Token()).Equal(exact) {
				t.Errorf("claimed %v, fence %d, token %q for the tick %v", lease.Tick(), lease.Fence(), lease.Token(), tick)
			}
			ok(t, lease.Unlock(t.Context()))
			for _, same := range []time.Time{tick, tick.Truncate(time.Millisecond), tick.In(time.FixedZone("x", 3600))} {
				if _, err := b.Claim(t.Context(), same); !errors.Is(err, redlock.ErrTickDone) {
					t.Errorf("claimed again as %v: %v, want ErrTickDone", same, err)
				}
			}
		})
	})
}

// startOfBubble is what time it is when a bubble begins.
var startOfBubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// ruling is what becomes of a tick that nobody else claims.
func ruling(tick, now time.Time) error {
	at, server := tick.UnixMilli(), now.UnixMilli()
	switch {
	case tick.Year() < 1970 || tick.Year() > 9999 || at <= 0:
		return redlock.ErrInvalid
	case at < server-redlock.DefaultRetention.Milliseconds():
		return redlock.ErrTickStale
	case at > server+redlock.DefaultMaxSkew.Milliseconds():
		return redlock.ErrClockSkew
	}
	return nil
}

// A token of another library may have an @ in it.
func TestTickOf_foreign(t *testing.T) {
	for _, token := range []string{"", "a@", "a@x", "a@-1", "a@0", "a@1x", "a@253402300800000", "a@99999999999999999999"} {
		if tick := redlock.TickOf(token); !tick.IsZero() {
			t.Errorf("%q: %v", token, tick)
		}
	}
	if got := redlock.TickOf("a/b@253402300799999"); got.Year() != 9999 {
		t.Errorf("the last tick: %v", got)
	}
}
