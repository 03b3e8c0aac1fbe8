package redlock_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// FuzzOptions makes lockers of any options. What is refused is refused by the documented rule and says so; what is
// accepted works: a lease is granted, is valid for some time but less than its TTL, and is released.
//
// Mutations it fails under: the largest TTL or skew is one more; validity is the whole TTL.
func FuzzOptions(f *testing.F) {
	add := func(ttl, timeout, retention, skew, spacing, hold, guard time.Duration, drift float64, modes uint8) {
		f.Add(int64(ttl), int64(timeout), int64(retention), int64(skew), int64(spacing), int64(hold), int64(guard), drift, modes)
	}
	const day = 24 * time.Hour
	for modes := range uint8(32) {
		add(30*time.Second, 0, 0, 0, 0, 0, 0, 0.01, modes)
	}
	for _, ttl := range []time.Duration{0, -1, 1, 20*time.Millisecond - 1, 20 * time.Millisecond, day, day + 1, math.MaxInt64, math.MinInt64} {
		for _, drift := range []float64{0, 0.01, 0.5, 0.500001, -0.01, math.NaN(), math.Inf(1)} {
			add(ttl, 0, 0, 0, 0, 0, 0, drift, 0)
		}
		add(30*time.Second, ttl, 0, 0, 0, 0, 0, 0, 0)
		add(30*time.Second, 0, ttl, 0, 0, 0, 0, 0, 0)
		add(30*time.Second, 0, 0, ttl, 0, 0, 0, 0, 0)
		add(30*time.Second, 0, 0, 0, ttl, 0, 0, 0, 1)
		add(30*time.Second, 0, 0, 0, 0, ttl, 0, 0, 0)
		add(30*time.Second, 0, 0, 0, 0, 0, ttl, 0, 0)
	}
	add(30*time.Second, 15*time.Second-1, 0, 0, 0, 0, 0, 0, 0)
	add(30*time.Second, 15*time.Second, 0, 0, 0, 0, 0, 0, 0)
	add(30*time.Second, time.Millisecond, 30*day, day, 7*day, 1, 30*time.Second, 0.5, 1)
	add(20*time.Millisecond, 9*time.Millisecond, time.Second, time.Second, 0, 0, 20*time.Millisecond, 0.5, 16)
	f.Fuzz(func(t *testing.T, ttl, timeout, retention, skew, spacing, hold, guard int64, drift float64, modes uint8) {
		inBubble(t, 3, func(t *testing.T, fl *fleet) {
			o := options{
				ttl: time.Duration(ttl), timeout: time.Duration(timeout), retention: time.Duration(retention), skew: time.Duration(skew),
				spacing: time.Duration(spacing), hold: time.Duration(hold), guard: time.Duration(guard), drift: drift,
				takeover: modes&1 != 0, anyOrder: modes&2 != 0, owner: modes&4 != 0, fencing: modes&8 != 0, noRenewal: modes&16 != 0,
			}
			l, err := redlock.New(redlocktest.Nodes(fl.servers, "a"), o.list()...)
			if o.allowed() != (err == nil) {
				t.Errorf("%+v: %v", o, err)
			}
			if err != nil {
				if !errors.Is(err, redlock.ErrInvalid) || len(err.Error()) > 400 {
					t.Errorf("%+v was refused with %.500q", o, err)
				}
				return
			}
			fl.lockers = append(fl.lockers, l)
			o.work(t, l)
		})
	})
}

type options struct {
	ttl, timeout, retention, skew, spacing, hold, guard time.Duration
	drift                                               float64
	takeover, anyOrder, owner, fencing, noRenewal       bool
}

func (o options) list() []redlock.LockerOption {
	all := []redlock.LockerOption{
		redlock.WithTTL(o.ttl), redlock.WithNodeTimeout(o.timeout), redlock.WithRetention(o.retention), redlock.WithMaxSkew(o.skew),
		redlock.WithSpacing(o.spacing), redlock.WithMaxHold(o.hold), redlock.WithRestartGuard(o.guard), redlock.WithDrift(o.drift),
	}
	for _, mode := range []struct {
		on  bool
		opt redlock.LockerOption
	}{
		{o.takeover, redlock.WithTakeover()}, {o.anyOrder, redlock.WithAnyOrder()}, {o.owner, redlock.WithOwner("me")},
		{o.fencing, redlock.WithFencing()}, {o.noRenewal, redlock.WithoutRenewal()},
	} {
		if mode.on {
			all = append(all, mode.opt)
		}
	}
	return all
}

// allowed is the documentation's word. Zero means the default for times that have one.
func (o options) allowed() bool {
	const day = 24 * time.Hour
	within := func(d, low, high time.Duration) bool { return low <= d && d <= high }
	switch {
	case !within(o.ttl, 20*time.Millisecond, day), !(o.drift >= 0 && o.drift <= 0.5),
		o.timeout != 0 && (o.timeout < time.Millisecond || o.timeout >= o.ttl/2),
		o.retention != 0 && (!within(o.retention, time.Second, 30*day) || o.retention < o.ttl),
		o.skew != 0 && !within(o.skew, time.Second, day), !within(o.spacing, 0, 7*day), o.hold < 0,
		o.guard != 0 && !within(o.guard, o.ttl, day),
		o.takeover && (o.anyOrder || o.owner), o.anyOrder && o.spacing > 0, o.owner && !o.anyOrder:
		return false
	case o.timeout == 0:
		return true
	}
	return o.ttl-time.Duration(float64(o.ttl)*o.drift)-2*time.Millisecond > o.timeout
}

// work uses a locker once.
func (o options) work(t *testing.T, l *redlock.Locker) {
	t.Helper()
	if o.guard != 0 {
		ok(t, bootstrap(t.Context(), l))
	}
	m := subjectOn(t, l, "job")
	begin := time.Now()
	lease := must[*redlock.Lease](t)(m.TryLock(t.Context()))
	if valid := lease.ValidUntil().Sub(begin); valid <= 0 || valid >= o.ttl {
		t.Errorf("%+v: valid for %v", o, valid)
	}
	if (o.fencing || o.takeover) != (lease.Fence() != 0) {
		t.Errorf("%+v: fence %d", o, lease.Fence())
	}
	if _, err := m.TryLock(t.Context()); !errors.Is(err, redlock.ErrTaken) {
		t.Errorf("%+v: a second TryLock: %v, want ErrTaken", o, err)
	}
	ok(t, lease.Unlock(t.Context()))
	time.Sleep(time.Second)
	o.claim(t, l)
}

// claim works but on ticks that a node behind the guard may have forgotten.
func (o options) claim(t *testing.T, l *redlock.Locker) {
	t.Helper()
	m := subjectOn(t, l, "tick")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	claimed, err := m.Claim(ctx, time.Now())
	if err != nil {
		t.Errorf("%+v: Claim: %v", o, err)
		return
	}
	ok(t, claimed.Unlock(t.Context()))
}
