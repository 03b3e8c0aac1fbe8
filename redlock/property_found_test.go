package redlock_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// One test for each fault that hostile replies and odd arguments have brought to light.

// A server answers part of each batch: releases that get no answer are sent again at once, beside ones that do.
func TestFound_partlyAnsweredReleasesDoNotSpin(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		l, links := fl.turncoats("a")
		var leases []*redlock.Lease
		for _, name := range []string{"one", "two", "three"} {
			leases = append(leases, must[*redlock.Lease](t)(subjectOn(t, l, name, redlock.WithoutRenewal()).TryLock(t.Context())))
		}
		links[0].turn(func(commands []driver.Command) []driver.Reply {
			replies := make([]driver.Reply, len(commands))
			for i := range replies[1:] {
				replies[i+1].Value = int64(1)
			}
			replies[0].Err = errors.New("read: connection reset by peer")
			return replies
		})
		before := links[0].sent()
		for _, lease := range leases {
			go func() { _ = lease.Unlock(t.Context()) }()
		}
		time.Sleep(2 * strangerTTL)
		if sent := links[0].sent() - before; sent > 50 {
			t.Errorf("three releases took %d batches", sent)
		}
	})
}

// The other side of it: a release that gets no answer time and again, beside commands that do, is not forgotten.
//
// Seen to fail when its second failure drops it.
func TestFound_partlyAnsweredReleasesAreKept(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		l, links := fl.turncoats("a")
		lease := must[*redlock.Lease](t)(subjectOn(t, l, "job", redlock.WithTTL(time.Hour)).TryLock(t.Context()))
		links[0].turn(func(commands []driver.Command) []driver.Reply {
			replies := make([]driver.Reply, len(commands))
			for i, c := range commands {
				if len(c) > 3 && c[3] == "job" {
					replies[i].Err = errors.New("read: connection reset by peer")
				} else {
					replies[i] = links[0].Node.Do(t.Context(), commands[i:i+1])[0]
				}
			}
			return replies
		})
		busy, stop := context.WithCancel(t.Context())
		for _, name := range []string{"one", "two", "three"} {
			m := subjectOn(t, l, name)
			go func() {
				for busy.Err() == nil {
					_ = m.Do(busy, func(context.Context) error { return nil })
				}
			}()
		}
		if err := lease.Unlock(t.Context()); !errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("Unlock: %v, want ErrNoQuorum", err)
		}
		time.Sleep(5 * time.Second)
		links[0].turn(nil)
		time.Sleep(2 * time.Second)
		stop()
		if left := fl.locks("job"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestFound_bootstrapOverForeignData(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		for _, s := range fl.servers {
			s.Do("SET", "redtick:guard", "somebody's")
		}
		if err := fl.inspector("a").Bootstrap(t.Context()); err == nil {
			t.Error("Bootstrap says it worked on nodes whose guard key holds other data")
		}
	})
}

func TestFound_errorsStayShort(t *testing.T) {
	huge := strings.Repeat("x\n", 1<<20)
	for name, r := range map[string]driver.Reply{
		"holder": {Value: huge}, "error": {Err: errors.New("ERR " + huge)}, "array": {Value: []any{huge, huge}}, "many": {Value: make([]any, 1<<16)},
	} {
		inBubble(t, 1, func(t *testing.T, fl *fleet) {
			l, links := fl.turncoats("a")
			links[0].turn(always(r))
			_, err := subjectOn(t, l, "job").TryLock(t.Context())
			if text := err.Error(); len(text) > 2000 || strings.Contains(text, "\n") {
				t.Errorf("%s: the error has %d bytes, %d lines: %.200q", name, len(text), 1+strings.Count(text, "\n"), text)
			}
		})
	}
}

func TestFound_unexpectedNumberIsReadable(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		l, links := fl.turncoats("a")
		links[0].turn(always(driver.Reply{Value: int64(7)}))
		_, err := subjectOn(t, l, "job").TryLock(t.Context())
		if !strings.Contains(err.Error(), "unexpected reply 7 ") {
			t.Errorf("got %q", err)
		}
	})
}

// The node's cause is there when its answer was no answer.
func TestFound_inspectorExplainsOddReplies(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		l, links := fl.turncoats("a")
		links[0].turn(always(driver.Reply{Value: "OK"}))
		inspector := inspectorOn(t, redlock.NodesOf(l))
		info, err := inspector.Show(t.Context(), "job")
		var of *redlock.NodeError
		if !errors.As(err, &of) || of.Err == nil || info.Votes[0].Err == nil {
			t.Errorf("Show: %v, its vote's error is %v", err, info.Votes[0].Err)
		}
		if node := inspector.Nodes(t.Context())[0]; node.Err == nil {
			t.Errorf("Nodes: a clock offset of %v and no error", node.ClockOffset)
		}
	})
}

func TestFound_scanWithAnOddCursor(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		l, links := fl.turncoats("a")
		links[0].turn(always(driver.Reply{Value: []any{int64(7), []any{}}}))
		if names, _, err := inspectorOn(t, redlock.NodesOf(l)).Names(t.Context(), "", 10); !errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("a scan that cannot go on: %v, %v; want ErrNoQuorum", names, err)
		}
	})
}

// One node's absurd fence is no vote, and is not carried to the others.
func TestFound_absurdFenceOfOneNode(t *testing.T) {
	for _, fence := range []string{"9223372036854775807", "9007199254740993", "-1", "", "x"} {
		inBubble(t, 3, func(t *testing.T, fl *fleet) {
			l, links := fl.turncoats("a", redlock.WithFencing())
			m := subjectOn(t, l, "job")
			links[0].turn(always(driver.Reply{Value: []any{"GRANTED", fence}}))
			for range 3 {
				lease, err := m.TryLock(t.Context())
				if err != nil {
					t.Errorf("fence %q: %v", fence, err)
					return
				}
				if f := lease.Fence(); f <= 0 || f > time.Now().UnixMicro()+1000 {
					t.Errorf("fence %q: the lease's is %d", fence, f)
				}
				ok(t, lease.Unlock(t.Context()))
				time.Sleep(time.Second)
			}
		})
	}
}

func TestFound_noFenceFromAnyNode(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		l, links := fl.turncoats("a", redlock.WithFencing())
		links[0].turn(always(driver.Reply{Value: []any{"GRANTED"}}))
		if lease, err := subjectOn(t, l, "job").TryLock(t.Context()); err == nil {
			t.Errorf("granted with fence %d", lease.Fence())
			ok(t, lease.Unlock(t.Context()))
		}
	})
}

// Unix milliseconds wrap around: a tick in the year -584,542,046 is not one of today.
func TestFound_tickFarInThePast(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		m := fl.process("a").mutex(t, "job")
		now := time.Now().Truncate(time.Second).UnixMilli()
		for sec := int64(-125); sec < 0; sec++ {
			// sec*2^64 + now is a multiple of 1000 for one of these.
			if (sec*616+now)%1000 == 0 {
				tick := time.Unix(wrapped(sec, now), 0)
				if _, err := m.Claim(t.Context(), tick); !errors.Is(err, redlock.ErrInvalid) {
					t.Errorf("a tick in the year %d: %v, want ErrInvalid", tick.Year(), err)
				}
			}
		}
	})
}

// wrapped is (turns*2^64 + ms) / 1000.
func wrapped(turns, ms int64) int64 {
	const whole, rest = math.MaxUint64 / 1000, 616 // 2^64 = whole*1000 + rest
	return turns*whole + (turns*rest+ms)/1000
}

// A back-off of "never" means to wait for notices and expiries.
func TestFound_longestBackoff(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		held := must[*redlock.Lease](t)(fl.process("holder").mutex(t, "job").Lock(t.Context()))
		m := fl.waiter(t, nil).mutex(t, "job", redlock.WithBackoff(func(int) time.Duration { return math.MaxInt64 }))
		asks(t, fl, m)
		ok(t, held.Unlock(t.Context()))
	})
}

// A lock that lives for centuries is no reason to hurry.
func TestFound_longestRemaining(t *testing.T) {
	for _, left := range []int64{math.MaxInt64 / 1_000_000, math.MaxInt64} {
		inBubble(t, 1, func(t *testing.T, fl *fleet) {
			held := must[*redlock.Lease](t)(fl.process("holder").mutex(t, "job").Lock(t.Context()))
			asks(t, fl, fl.waiter(t, []any{left, "1"}).mutex(t, "job"))
			ok(t, held.Unlock(t.Context()))
		})
	}
}

// asks counts how often a waiter of what is held asks.
func asks(t *testing.T, fl *fleet, m *subject) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	before := fl.servers[0].Batches()
	_, _ = m.Lock(ctx)
	if asked := fl.servers[0].Batches() - before; asked > 50 {
		t.Errorf("a second of waiting took %d batches", asked)
	}
}

// waiter is a process whose one node has a way of its own to answer those who get in line.
func (fl *fleet) waiter(t *testing.T, enlisted any) *process {
	node := &usher{gossip: gossip{Node: redlocktest.Nodes(fl.servers, "w")[0]}, enlisted: enlisted}
	p := &process{Locker: must[*redlock.Locker](t)(redlock.New([]driver.Node{node}))}
	fl.lockers = append(fl.lockers, p.Locker)
	return p
}

type usher struct {
	gossip
	enlisted any
}

func (n *usher) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	time.Sleep(time.Millisecond)
	replies := n.Node.Do(ctx, commands)
	for i, c := range commands {
		if script, _ := c[1].(string); n.enlisted != nil && len(c) > 5 && (strings.Contains(script, "ZADD") || c[2] == "2" && len(c) == 8) {
			replies[i] = driver.Reply{Value: n.enlisted}
		}
	}
	return replies
}
