package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func TestInspector_Show(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a, ops := fl.process("api-1"), fl.inspector("ops")
		tick := time.Now()
		lease := must[*redlock.Lease](t)(a.mutex(t, "report").Claim(t.Context(), tick))
		time.Sleep(confirmed)
		info := must[*inspect.Info](t)(ops.Show(t.Context(), "report"))
		if info.Holder != "api-1" || info.Token != lease.Token() || !info.Tick.Equal(tick) || info.Remaining != 30*time.Second-confirmed ||
			!info.LastTick.Equal(tick) || info.LastHolder != "api-1" || len(info.Votes) != 3 {
			t.Errorf("held: %+v", info)
		}
		ok(t, lease.Unlock(t.Context()))
		synctest.Wait()
		if info = must[*inspect.Info](t)(ops.Show(t.Context(), "report")); info.Token != "" || info.LastHolder != "api-1" {
			t.Errorf("free: %+v", info)
		}
		fl.servers[0].Freeze()
		if info = must[*inspect.Info](t)(ops.Show(t.Context(), "report")); info.Votes[0].Err == nil || info.LastHolder != "api-1" {
			t.Errorf("one node down: %+v", info)
		}
		fl.servers[1].Freeze()
		if _, err := ops.Show(t.Context(), "report"); !errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("two of three nodes down: %v, want ErrNoQuorum", err)
		}
		fl.servers[0].Thaw()
		fl.servers[1].Thaw()
		time.Sleep(time.Minute)
	})
}

func TestInspector_Names(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a", redlock.WithPrefix("app:"))
		ops := fl.inspector("ops", inspect.WithPrefix("app:"))
		for _, name := range []string{"x", "{x}", "a{b}c", "report", "re*port"} {
			ok(t, must[*redlock.Lease](t)(a.mutex(t, name).Claim(t.Context(), time.Now())).Unlock(t.Context()))
			synctest.Wait()
		}
		must[*redlock.Lease](t)(a.mutex(t, "locked").TryLock(t.Context()))
		must[*redlock.Lease](t)(fl.process("other").mutex(t, "elsewhere").TryLock(t.Context()))
		for _, s := range fl.servers {
			s.Do("SET", "app:data", "something else")
		}
		for prefix, want := range map[string]string{
			"": "[a{b}c locked re*port report x {x}]", "re": "[re*port report]", "re*": "[re*port]", "nothing": "[]",
		} {
			names, more, err := ops.Names(t.Context(), prefix, 100)
			if fmt.Sprint(names) != want || more || err != nil {
				t.Errorf("names with %q: %v %v %v, want %s", prefix, names, more, err, want)
			}
		}
		if names, more, _ := ops.Names(t.Context(), "", 2); len(names) != 2 || !more {
			t.Errorf("limit 2: %v, more=%v", names, more)
		}
	})
}

func TestInspector_Release(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a, ops := fl.process("a").mutex(t, "job"), fl.inspector("ops")
		lease := must[*redlock.Lease](t)(a.TryLock(t.Context()))
		if err := ops.Release(t.Context(), "job", "an older token"); !errors.Is(err, redlock.ErrLost) || !strings.Contains(err.Error(), "held under another token") {
			t.Errorf("a wrong token: %v, want ErrLost", err)
		}
		ok(t, lease.Context().Err())
		ok(t, ops.Release(t.Context(), "job", lease.Token()))
		other := must[*redlock.Lease](t)(fl.process("b").mutex(t, "job").TryLock(t.Context()))
		<-lease.Context().Done()
		ok(t, other.Context().Err())
		ok(t, other.Unlock(t.Context()))
	})
}

// A command ends once Release has returned, and what it has not sent by then is never sent.
func TestInspector_Release_wakes(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		seldom := redlock.WithBackoff(func(int) time.Duration { return time.Hour })
		held := must[*redlock.Lease](t)(fl.process("a").mutex(t, "report").TryLock(t.Context()))
		granted := make(chan *redlock.Lease, 1)
		waiter := fl.process("b").mutex(t, "report", seldom)
		go func() { granted <- must[*redlock.Lease](t)(waiter.Lock(t.Context())) }()
		time.Sleep(time.Second)
		nodes := redlocktest.Nodes(fl.servers, "ops")
		for _, n := range nodes {
			n.(*redlocktest.Node).Delay(10*time.Millisecond, 10*time.Millisecond)
		}
		ok(t, must[*inspect.Inspector](t)(inspect.New(nodes)).Release(t.Context(), "report", held.Token()))
		synctest.Wait()
		select {
		case next := <-granted:
			ok(t, next.Unlock(t.Context()))
		default:
			t.Error("when Release returned, the waiter had not been woken")
		}
	})
}

// A holder that keeps renewing must not restore what an operator took from it. Mutation: no tombstone.
func TestInspector_Release_isFinal(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a, ops := fl.process("a").mutex(t, "job"), fl.inspector("ops")
		lease := must[*redlock.Lease](t)(a.TryLock(t.Context()))
		synctest.Wait() // all three have it
		ok(t, ops.Release(t.Context(), "job", lease.Token()))
		time.Sleep(11 * time.Second)
		if left := fl.locks("job"); len(left) > 0 || lease.Context().Err() == nil {
			t.Errorf("after its renewal the holder has it again: %v", left)
		}
	})
}

func TestInspector_Nodes(t *testing.T) {
	l, servers := realFleet(t, 3)
	servers[1].Pause()
	begin := time.Now()
	infos := inspectorOn(t, redlock.NodesOf(l), inspect.WithTimeout(500*time.Millisecond)).Nodes(t.Context())
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v with a node stopped", took)
	}
	for i, n := range infos {
		switch {
		case i == 1 && n.Err == nil:
			t.Errorf("the stopped node is said to be well: %+v", n)
		case i != 1 && (n.Err != nil || n.RunID == "" || n.Persistence != "none" || n.MaxMemoryPolicy != "noeviction" || n.ClockOffset.Abs() > time.Second):
			t.Errorf("node %d: %+v", i, n)
		}
	}
	servers[1].Resume()
}

// A node that refuses to answer is not shown as one that holds nothing.
//
// Seen to fail when a GETRANGE that fails is taken for no lock.
func TestInspector_refusedByTheNodes(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		held := must[*redlock.Lease](t)(p.mutex(t, "job").Lock(t.Context()))
		inspector := p.inspector(t)
		for _, l := range p.links {
			l.OnBatch(func(commands []driver.Command) redlocktest.Fault {
				if commands[0][0] == "GETRANGE" {
					return redlocktest.Fault{Err: errors.New("NOPERM this user has no permissions to run the command")}
				}
				return redlocktest.Fault{}
			})
		}
		if _, _, err := inspector.Names(t.Context(), "", 10); !errors.Is(err, redlock.ErrNoQuorum) || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("Names: %v, want ErrNoQuorum and the nodes' cause", err)
		}
		for _, l := range p.links {
			l.OnBatch(nil)
		}
		ok(t, held.Unlock(t.Context()))
	})
}

// Seen to fail when nodes that had no time are said not to have answered.
func TestInspector_endOfContext(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		p.delay(10*time.Millisecond, 10*time.Millisecond)
		inspector := p.inspector(t)
		for what, inspect := range map[string]func(ctx context.Context) error{
			"Show":  func(ctx context.Context) error { _, err := inspector.Show(ctx, "job"); return err },
			"Names": func(ctx context.Context) error { _, _, err := inspector.Names(ctx, "", 10); return err },
			"Jobs":  func(ctx context.Context) error { _, _, err := inspector.Jobs(ctx, "", 10); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			if err := inspect(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redlock.ErrNoQuorum) {
				t.Errorf("%s: %v, want DeadlineExceeded", what, err)
			}
			cancel()
		}
		time.Sleep(time.Second) // the answers come all the same
	})
}

// A release that fails says which nodes were silent.
//
// Seen to fail when only those are listed that answered with an error.
func TestInspector_Release_namesSilentNodes(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		lease := must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").TryLock(t.Context()))
		synctest.Wait() // all three have it
		for _, s := range fl.servers[1:] {
			s.Freeze()
			defer s.Thaw()
		}
		err := fl.inspector("ops").Release(t.Context(), "job", lease.Token())
		refusal, _ := errors.AsType[*redlock.Error](err)
		if !errors.Is(err, redlock.ErrNoQuorum) || len(refusal.Nodes) != 2 || !strings.Contains(err.Error(), "ops/2: no answer within 1s") {
			t.Errorf("got %v, want both silent nodes", err)
		}
	})
}
