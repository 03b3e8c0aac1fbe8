package gocronadapter_test

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/jonboulle/clockwork"
)

// clock is a replica's wall clock. It is ahead of the true time, and its timers
// fire late: a little, as all timers do, or more, as those of a frozen process.
// With timers that are never late gocron starts some runs twice: when it plans
// the next tick at the very instant of one that has just left its list.
type clock struct {
	clockwork.Clock
	ahead time.Duration
	late  func() time.Duration

	// The clock of a synctest bubble has no monotonic reading. With base, an
	// instant from outside of it, this one has.
	base, begin time.Time
	steps       atomic.Int64 // how far the wall clock alone was set forward
}

// tiny is how late a timer is at least.
const tiny = time.Microsecond

func newClock(ahead time.Duration) *clock {
	return &clock{Clock: clockwork.NewRealClock(), ahead: ahead, late: func() time.Duration { return tiny }}
}

func (c *clock) Now() time.Time {
	if c.base.IsZero() {
		return time.Now().Add(c.ahead)
	}
	return setWall(c.base.Add(time.Since(c.begin)+c.ahead), time.Duration(c.steps.Load()))
}

func (c *clock) Since(t time.Time) time.Duration        { return c.Now().Sub(t) }
func (c *clock) Until(t time.Time) time.Duration        { return t.Sub(c.Now()) }
func (c *clock) After(d time.Duration) <-chan time.Time { return c.Clock.After(d) }

func (c *clock) AfterFunc(d time.Duration, f func()) clockwork.Timer {
	return c.Clock.AfterFunc(d+c.late(), f)
}

// setWall moves the wall clock reading of t and leaves the monotonic one alone,
// as it is after the clock was set.
func setWall(t time.Time, by time.Duration) time.Time {
	if by == 0 {
		return t
	}
	want := t.Round(0).Add(by)
	const nanoseconds, second = 1<<30 - 1, 1 << 30 // the layout of time.Time's first word
	w := (*uint64)(unsafe.Pointer(&t))
	ns := int64(*w&nanoseconds) + int64(by)
	seconds := ns / 1e9
	if ns %= 1e9; ns < 0 {
		ns, seconds = ns+1e9, seconds-1
	}
	*w = *w&^nanoseconds + uint64(seconds*second) | uint64(ns)
	if !t.Round(0).Equal(want) {
		panic("time.Time has another layout than this test knows")
	}
	return t
}
