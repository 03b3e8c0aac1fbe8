//go:build unix

package redlock_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// Callers who stop waiting for a name cost the same each, however many they are: 8 times as many take 8 times as long, not 64.
//
// Seen to fail when each looks for its place among all others: 34 to 46 times, and 0.9 s.
func TestCost_waitersLeave(t *testing.T) {
	if raceDetector {
		t.Skip("the run without the race detector counts")
	}
	few, many := cpuOfLeaving(t, 4_000), cpuOfLeaving(t, 32_000)
	if many > max(20*few, 500*time.Millisecond) {
		t.Errorf("%v for 4,000 waiters, %v for 32,000", few, many)
	}
}

func cpuOfLeaving(t *testing.T, n int) (spent time.Duration) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		m := fl.process("a").mutex(t, "job")
		held := must[*redlock.Lease](t)(m.TryLock(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range n {
			all.Go(func() { _, _ = m.Lock(ctx) })
		}
		time.Sleep(time.Second)
		begin := cpuTime()
		cancel()
		all.Wait()
		spent = cpuTime() - begin
		ok(t, held.Unlock(t.Context()))
	})
	return spent
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
