package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// answersWith is a node that answers every command with an error reply while it has one.
type answersWith struct {
	driver.Node
	reply atomic.Pointer[string]
}

func (n *answersWith) Do(ctx context.Context, c []driver.Command) []driver.Reply {
	text := n.reply.Load()
	if text == nil {
		return n.Node.Do(ctx, c)
	}
	r := make([]driver.Reply, len(c))
	for i := range r {
		r[i].Err = errors.New(*text)
	}
	return r
}

// passing lists transient error replies: the server answered, but did not execute the command.
var passing = []string{
	"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
	"LOADING Redis is loading the dataset in memory",
	"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
	"READONLY You can't write against a read only replica.",
	"OOM command not allowed when used memory > 'maxmemory'.",
	"NOREPLICAS Not enough good replicas to write.",
	"TRYAGAIN Multiple keys request during rehashing of slot",
	"CLUSTERDOWN The cluster is down",
	"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
}

// A release that a server answers with a transient error is repeated until the server has executed it.
//
// Seen to fail when an error reply counts as an execution.
func TestRelease_answeredWithPassingError(t *testing.T) {
	for _, text := range passing {
		t.Run(strings.Fields(text)[0], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := redlocktest.NewServer()
				n := &answersWith{Node: server.Node("a")}
				l := must[*redlock.Locker](t)(redlock.New([]driver.Node{n}, redlock.WithObserver(func(redlock.Event) {})))
				lease := must[*redlock.Lease](t)(subjectOn(t, l, "job").TryLock(t.Context()))
				n.reply.Store(&text)
				_ = lease.Unlock(t.Context())
				time.Sleep(200 * time.Millisecond)
				n.reply.Store(nil)
				time.Sleep(time.Second)
				if _, held := server.Get("job"); held {
					t.Errorf("the key is still there, for another %v ms", server.Do("PTTL", "job").Value)
				}
				ok(t, l.Close(t.Context()))
			})
		})
	}
}

// An aborted claim leaves no provisional tick key behind when its abort is answered with a transient error: the tick runs.
//
// Seen to fail when an error reply counts as an execution.
func TestClaim_abortAnsweredWithPassingError(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		busy := passing[0]
		var nodes []driver.Node
		var links []*answersWith
		for _, n := range redlocktest.Nodes(fl.servers, "a") {
			links = append(links, &answersWith{Node: n})
			nodes = append(nodes, links[len(links)-1])
		}
		l := must[*redlock.Locker](t)(redlock.New(nodes, redlock.WithTTL(3*time.Second), redlock.WithObserver(func(redlock.Event) {})))
		fl.lockers = append(fl.lockers, l)
		links[1].reply.Store(&busy)
		links[2].reply.Store(&busy)
		tick := time.Now()
		go func() { // the one vote is granted, and its abort is answered with an error
			time.Sleep(time.Millisecond)
			links[0].reply.Store(&busy)
		}()
		if _, err := subjectOn(t, l, "job").Claim(t.Context(), tick); !errors.Is(err, redlock.ErrNoQuorum) {
			t.Fatalf("got %v, want ErrNoQuorum", err)
		}
		for _, link := range links {
			link.reply.Store(nil)
		}
		time.Sleep(2 * time.Second)
		ok(t, must[*redlock.Lease](t)(fl.process("b").mutex(t, "job").Claim(t.Context(), tick)).Unlock(t.Context()))
	})
}

// A finished take-over tick is remembered for as long as it may be asked for.
//
// Seen to fail when `last` lives for 7 days whatever the retention.
func TestJob_takeoverAfterAWeek(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		m := fl.process("a").mutex(t, "job", redlock.WithRetention(30*24*time.Hour), redlock.WithTakeover())
		tick := time.Now()
		ok(t, must[*redlock.Lease](t)(m.Claim(t.Context(), tick)).Unlock(t.Context()))
		for _, s := range fl.servers {
			s.SetClock(7*24*time.Hour+time.Minute, 1)
		}
		if _, err := m.Claim(t.Context(), tick); !errors.Is(err, redlock.ErrTickDone) {
			t.Errorf("within the retention: %v, want ErrTickDone", err)
		}
	})
}

// A token that anyone can read gives no second valid lease: Adopt waits until its holder can no longer rely on it, or for a TTL if
// the key has lost its expiry.
//
// Seen to fail when a held token is adopted at once, and when a key without an expiry counts as one that is about to expire.
func TestMutex_adoptWhileHeld(t *testing.T) {
	t.Run("expires", func(t *testing.T) { testAdoptWhileHeld(t, false) })
	t.Run("lost its expiry", func(t *testing.T) { testAdoptWhileHeld(t, true) })
}

func testAdoptWhileHeld(t *testing.T, persist bool) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a, b := fl.process("a").mutex(t, "job"), fl.process("b").mutex(t, "job")
		held := must[*redlock.Lease](t)(a.Lock(t.Context()))
		token := must[string](t)(b.Holder(t.Context()))
		for _, s := range fl.servers {
			if persist {
				s.Do("SET", "job", token)
			}
		}
		adopted := must[*redlock.Lease](t)(b.Adopt(t.Context(), token))
		if now := time.Now(); now.Before(held.ValidUntil()) {
			t.Errorf("two valid leases: until %v and %v", held.ValidUntil(), adopted.ValidUntil())
		}
		if err := context.Cause(held.Context()); !errors.Is(err, redlock.ErrLost) {
			t.Errorf("the former holder was told %v, want ErrLost", err)
		}
		ok(t, adopted.Unlock(t.Context()))
		_ = held.Unlock(t.Context())
	})
}

// Of several who adopt one detached token, one succeeds.
//
// Seen to fail when the swap does not compare.
func TestMutex_adoptOnce(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		token := must[string](t)(must[*redlock.Lease](t)(fl.process("a").mutex(t, "job").Lock(t.Context())).Detach())
		var adopted atomic.Int32
		var all sync.WaitGroup
		for i := range 5 {
			p := fl.process(fmt.Sprint("b", i))
			p.delay(0, time.Millisecond)
			all.Go(func() {
				if lease, err := p.mutex(t, "job").Adopt(t.Context(), token); err == nil {
					adopted.Add(1)
					time.Sleep(time.Second)
					ok(t, lease.Unlock(t.Context()))
				}
			})
		}
		all.Wait()
		if n := adopted.Load(); n > 1 {
			t.Errorf("%d of 5 adopted one token", n)
		}
		time.Sleep(time.Minute)
	})
}

// Fences of one name have one order over locks, claims and take-overs.
//
// Seen to fail when a claim's fence is its tick.
func TestFence_mixed(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		m := fl.process("a").mutex(t, "job", redlock.WithFencing())
		highest := int64(0)
		for i := range 20 {
			var lease *redlock.Lease
			if i%2 == 0 {
				lease = must[*redlock.Lease](t)(m.Lock(t.Context()))
			} else {
				lease = must[*redlock.Lease](t)(m.Claim(t.Context(), time.Now()))
			}
			if lease.Fence() <= highest {
				t.Errorf("fence %d after %d", lease.Fence(), highest)
			}
			highest = lease.Fence()
			ok(t, lease.Unlock(t.Context()))
			time.Sleep(2 * time.Millisecond)
		}
	})
}

// A replica that takes a tick over has a larger fence than the dead one.
//
// Seen to fail when take-over does not include fencing.
func TestFence_takeover(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		tick, opts := time.Now(), []redlock.LockerOption{redlock.WithTTL(time.Second), redlock.WithTakeover(), redlock.WithoutRenewal()}
		dead := must[*redlock.Lease](t)(fl.process("a").mutex(t, "job", opts...).Claim(t.Context(), tick))
		next := must[*redlock.Lease](t)(fl.process("b").mutex(t, "job", opts...).Await(t.Context(), tick))
		if next.Fence() <= dead.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), dead.Fence())
		}
		ok(t, next.Unlock(t.Context()))
		_ = dead.Unlock(t.Context())
	})
}

// 20,000 claims at once on one healthy node are all granted, and a lease that is held meanwhile is kept.
//
// Seen to fail when all of them vote at a time.
func TestClaim_overload(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		var trouble atomic.Int32
		p := fl.process("a", redlock.WithObserver(func(e redlock.Event) {
			if e.Kind == redlock.NodeOut || e.Kind == redlock.Lost || e.Kind == redlock.RenewFailed {
				trouble.Add(1)
			}
		}))
		p.links[0].Delay(20*time.Millisecond, 20*time.Millisecond)
		held := must[*redlock.Lease](t)(p.mutex(t, "held", redlock.WithTTL(time.Second)).Lock(t.Context()))
		var all sync.WaitGroup
		tick := time.Now()
		for i := range scaled(20_000) {
			m := p.mutex(t, fmt.Sprint("job", i))
			all.Go(func() { ok(t, must[*redlock.Lease](t)(m.Claim(t.Context(), tick)).Unlock(t.Context())) })
		}
		all.Wait()
		ok(t, held.Unlock(t.Context()))
		if n := trouble.Load(); n > 0 {
			t.Errorf("%d events of a node that is out, a failed renewal or a lost lease", n)
		}
	})
}

// slowing takes longer for each command than for the one before.
type slowing struct {
	driver.Node
	step, perCommand time.Duration
}

func (n *slowing) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	for range commands {
		n.perCommand += n.step
		time.Sleep(n.perCommand)
	}
	return n.Node.Do(ctx, commands)
}

// Claims that a node becomes slow to execute wait for it, however many come at once. The node is not taken for a hung one.
//
// Seen to fail when a batch has 1,024 calls, whatever they take, and when Unlock waits for the node timeout only.
func TestClaim_slowNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, trouble := 5_000, atomic.Int32{}
		node := &slowing{Node: redlocktest.NewServer().Node("a"), step: time.Millisecond / time.Duration(n)}
		l := must[*redlock.Locker](t)(redlock.New([]driver.Node{node}, redlock.WithObserver(func(e redlock.Event) {
			e.Missed = 0 // that so many events at once are too many for the observer is no trouble
			if e.Level() >= slog.LevelWarn {
				trouble.Add(1)
			}
		})))
		var all sync.WaitGroup
		begin, tick := time.Now(), time.Now()
		for i := range n {
			job := must[*redlock.Job](t)(l.NewJob(fmt.Sprint("job", i)))
			all.Go(func() { ok(t, must[*redlock.Lease](t)(job.Claim(t.Context(), tick)).Unlock(t.Context())) })
		}
		all.Wait()
		if most := time.Duration(n) * 3 * time.Millisecond; trouble.Load() > 0 || time.Since(begin) > most {
			t.Errorf("%d events of trouble in %v, want none, in at most %v", trouble.Load(), time.Since(begin), most)
		}
		ok(t, l.Close(t.Context()))
	})
}

// A wait ends on an error that cannot go away by itself, and the error names the cure. The answers of a server that a client with
// wrong options meets while it connects are such errors, too.
//
// Seen to fail when it counts as a node that will be back.
func TestLock_permanentError(t *testing.T) {
	for answer, cure := range map[string]string{
		"NOPERM this user has no permissions to run the 'evalsha' command": "ACL SETUSER",
		"WRONGPASS invalid username-password pair or user is disabled.":    "set the client's user name and password",
		"ERR invalid password": "set the client's user name and password", // Redis 5
		"ERR AUTH <password> called without any password configured for the default user. Are you …": "leave the client's password out",
		"ERR Client sent AUTH, but no password is set":                                               "leave the client's password out", // Redis 5
		"ERR DB index is out of range":                                                               "choose a database that the server has",
		"DB index is out of range":                                                                   "choose a database that the server has", // rueidis
		"ERR SELECT is not allowed in cluster mode":                                                  "choose a database that the server has",
		"ERR This instance has cluster support disabled":                                             "use a client for a single server",
		"DENIED Redis is running in protected mode because protected mode is enabled and no …":       "set a password on the server",
		"MOVED 3999 127.0.0.1:6381":                                                                  "use a Cluster client",
	} {
		t.Run(answer, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &answersWith{Node: redlocktest.NewServer().Node("a")}
				n.reply.Store(&answer)
				l := must[*redlock.Locker](t)(redlock.New([]driver.Node{n}, redlock.WithObserver(func(redlock.Event) {})))
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := subjectOn(t, l, "job").Lock(ctx)
				if !errors.Is(err, redlock.ErrNoQuorum) || !strings.Contains(err.Error(), cure) || time.Since(begin) > time.Second {
					t.Errorf("after %v: %v", time.Since(begin), err)
				}
				ok(t, l.Close(t.Context()))
			})
		})
	}
}

// With a token function that repeats itself, one lease would be taken for another.
//
// Seen to fail when a repeated token is taken.
func TestNew_tokenFunc(t *testing.T) {
	nodes := redlocktest.Nodes(redlocktest.Servers(1), "a")
	if _, err := redlock.New(nodes, redlock.WithTokenFunc(func() (string, error) { return "", errors.New("no entropy") })); err == nil || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("one that fails: %v", err)
	}
	l := must[*redlock.Locker](t)(redlock.New(nodes, redlock.WithTokenFunc(func() (string, error) { return "same", nil }), redlock.WithObserver(func(redlock.Event) {})))
	if _, err := subjectOn(t, l, "job").TryLock(t.Context()); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("one that returns a constant: %v, want ErrInvalid", err)
	}
	ok(t, l.Close(t.Context()))
}

// Nor may it alternate between a few strings, or return the characters that mark a tick or a detached token: Adopt would not wait for
// the holder of such a token.
//
// Seen to fail when only the string before is compared, and when any string is taken.
func TestNew_tokenFuncMisleads(t *testing.T) {
	nodes := redlocktest.Nodes(redlocktest.Servers(1), "a")
	n := 0
	l := must[*redlock.Locker](t)(redlock.New(nodes, redlock.WithTokenFunc(func() (string, error) { n++; return fmt.Sprint(n % 3), nil })))
	m := subjectOn(t, l, "job")
	for range 2 {
		ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context()))
	}
	if _, err := m.TryLock(t.Context()); !errors.Is(err, redlock.ErrInvalid) {
		t.Errorf("one of three strings: %v, want ErrInvalid", err)
	}
	ok(t, l.Close(t.Context()))
	for _, random := range []string{"x~", "x@1", "x@1~", "~@1", "a@b"} {
		if _, err := redlock.New(nodes, redlock.WithTokenFunc(func() (string, error) { return random, nil })); !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), "leave them out") {
			t.Errorf("%q: %v, want ErrInvalid and the cure", random, err)
		}
	}
}

// A token is short enough for an inspector, which reads only part of a key, since that may hold other data.
//
// Seen to fail when any length is taken: the inspector cut the token, so nobody could be released.
func TestNew_tokenFuncLength(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		ofLength := func(length int) redlock.LockerOption {
			n := 0
			return redlock.WithTokenFunc(func() (string, error) { n++; return fmt.Sprintf("%0*d", length, n), nil })
		}
		if _, err := redlock.New(redlocktest.Nodes(fl.servers, "b"), ofLength(129)); !errors.Is(err, redlock.ErrInvalid) {
			t.Errorf("129 bytes: %v, want ErrInvalid", err)
		}
		j := fl.process("a", ofLength(128), redlock.WithHolder(strings.Repeat("h", 256))).mutex(t, "job")
		lease := must[*redlock.Lease](t)(j.Claim(t.Context(), time.Now()))
		if info := must[*inspect.Info](t)(fl.inspector("ops").Show(t.Context(), "job")); info.Token != lease.Token() {
			t.Errorf("the inspector has %d bytes of a token of %d", len(info.Token), len(lease.Token()))
		}
		ok(t, lease.Unlock(t.Context()))
	})
}

// A lease that cannot be detached is released.
//
// Seen to fail when the handle ends before the token is made.
func TestLease_detachWithoutToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, n := redlocktest.NewServer(), 0
		l := must[*redlock.Locker](t)(redlock.New([]driver.Node{server.Node("a")}, redlock.WithTokenFunc(func() (string, error) {
			if n++; n > 2 {
				return "", errors.New("no entropy")
			}
			return fmt.Sprint(n), nil
		})))
		lease := must[*redlock.Lease](t)(subjectOn(t, l, "job").TryLock(t.Context()))
		if _, err := lease.Detach(); err == nil || !strings.Contains(err.Error(), "no entropy") {
			t.Errorf("got %v, want the token function's error", err)
		}
		if _, held := server.Get("job"); held {
			t.Error("the lock is still there")
		}
		ok(t, l.Close(t.Context()))
	})
}

// Keys that never expire on half of the nodes are an answer.
//
// Seen to fail when a split vote is voted on until the time is up.
func TestTryLock_lastingSplit(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, fl *fleet) {
		for _, s := range fl.servers[:2] {
			s.Do("SET", "job", "somebody's")
		}
		begin := time.Now()
		_, err := fl.process("a").mutex(t, "job").TryLock(t.Context())
		if took := time.Since(begin); !errors.Is(err, redlock.ErrTaken) || took > 500*time.Millisecond {
			t.Errorf("after %v: %v, want ErrTaken within a node timeout", took, err)
		}
		for _, s := range fl.servers[:2] {
			s.Do("DEL", "job")
		}
	})
}

// So they are for a claim, which would else ask for as long as its lateness says. The keys may have different values.
//
// Seen to fail when only a lock looks for such keys: after 9m58s no quorum.
func TestClaim_lastingSplit(t *testing.T) {
	for nodes, lasting := range map[int]int{2: 1, 3: 2, 4: 2, 5: 3} {
		inBubble(t, nodes, func(t *testing.T, fl *fleet) {
			for i, s := range fl.servers[:lasting] {
				s.Do("SET", "job", fmt.Sprint("somebody's ", i))
			}
			hourly := redlock.WithSchedule("hourly", func(tick time.Time) time.Time { return tick.Add(time.Hour) })
			begin := time.Now()
			_, err := fl.process("a").mutex(t, "job", hourly).Claim(t.Context(), begin)
			if took := time.Since(begin); !errors.Is(err, redlock.ErrTaken) || took > 500*time.Millisecond {
				t.Errorf("%d nodes, after %v: %v, want ErrTaken within a node timeout", nodes, took, err)
			}
			for _, s := range fl.servers[:lasting] {
				s.Do("DEL", "job")
			}
		})
	}
}

// A second Unlock at the same time waits on a channel, so that a bubble can see it.
//
// Seen to fail when it waits on a mutex.
func TestLease_unlockTwiceInABubble(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		p.delay(time.Millisecond, time.Millisecond)
		lease := must[*redlock.Lease](t)(p.mutex(t, "x").TryLock(t.Context()))
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { ok(t, lease.Unlock(t.Context())) })
		}
		all.Wait()
	})
}

// Work that fails at once does not keep the fleet busy.
//
// Seen to fail when the pause does not grow, and when it grows from a back-off of 0 or 1 ms to 256 times that.
func TestElector_leadFailsAtOnce(t *testing.T) {
	for _, pause := range []time.Duration{-time.Second, 0, time.Millisecond, 200 * time.Millisecond, 100 * time.Hour} {
		t.Run(pause.String(), func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				n := 0
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				m := fl.process("a").mutex(t, "lead", redlock.WithBackoff(func(int) time.Duration { return pause }))
				_ = newElector(t, m).Run(ctx, func(context.Context) error {
					if n++; n > 400 {
						cancel()
					}
					return errors.New("no database")
				})
				if n < 100 || n > 400 {
					t.Errorf("%d terms in an hour", n)
				}
			})
		})
	}
}

// panics is a driver that panics once.
type panics struct {
	punctual
	once *sync.Once
}

func (n panics) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	n.once.Do(func() { panic("boom") })
	return n.punctual.Do(ctx, commands)
}

// A driver panics on the goroutine of a caller that recovers, as an HTTP server does. The node is used again.
//
// Seen to fail when the pipeline counts as busy from then on.
func TestTryLock_driverPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := redlocktest.NewServer()
		node := panics{punctual{server.Node("node")}, new(sync.Once)}
		l := must[*redlock.Locker](t)(redlock.New([]driver.Node{node}, redlock.WithObserver(func(redlock.Event) {})))
		m := must[*redlock.Mutex](t)(l.NewMutex("job"))
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the driver's panic was swallowed")
				}
			}()
			_, _ = m.TryLock(t.Context())
		}()
		ok(t, must[*redlock.Lease](t)(m.TryLock(t.Context())).Unlock(t.Context()))
		ok(t, l.Close(t.Context()))
	})
}

// A claim under take-over is handed to a process that dies with it. Another one takes its tick over.
//
// Seen to fail when the adopted lease marks the tick before the unlock.
func TestMutex_adoptedTickIsTakenOver(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a, b := fl.process("a"), fl.process("b")
		job := a.mutex(t, "job", redlock.WithTakeover(), redlock.WithTTL(2*time.Second))
		tick := time.Now()
		token := must[string](t)(must[*redlock.Lease](t)(job.Claim(t.Context(), tick)).Detach())
		must[*redlock.Lease](t)(b.mutex(t, "job", redlock.WithTTL(2*time.Second), redlock.WithoutRenewal()).Adopt(t.Context(), token))
		lease := must[*redlock.Lease](t)(job.Await(t.Context(), tick))
		adopted := b.mutex(t, "job")
		token = must[string](t)(lease.Detach())
		ok(t, must[*redlock.Lease](t)(adopted.Adopt(t.Context(), token)).Unlock(t.Context()))
		if _, err := job.Await(t.Context(), tick); !errors.Is(err, redlock.ErrTickDone) {
			t.Errorf("after the adopter's unlock: %v, want ErrTickDone", err)
		}
	})
}

// A token function may return slashes, as standard base64 does.
//
// Seen to fail when what stands before the last slash is the holder.
func TestHolderOf_slashInToken(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		n := 0
		p := fl.process("ns/pod", redlock.WithTokenFunc(func() (string, error) { n++; return fmt.Sprintf("ab/%d/+=", n), nil }))
		lease := must[*redlock.Lease](t)(p.mutex(t, "job").TryLock(t.Context()))
		if holder := redlock.HolderOf(lease.Token()); holder != "ns/pod" {
			t.Errorf("the holder of %q is %q, want ns/pod", lease.Token(), holder)
		}
		ok(t, lease.Unlock(t.Context()))
	})
}

// Another library's token has no tick, whatever it ends in.
//
// Seen to fail when a port passes for one.
func TestTickOf_otherLibrary(t *testing.T) {
	for _, token := range []string{"host@8080", "@1700000000000", "a b@1"} {
		if tick := redlock.TickOf(token); !tick.IsZero() {
			t.Errorf("%q: got %v, want none", token, tick)
		}
	}
	if tick := redlock.TickOf("host:1/random@1700000000000"); tick.UnixMilli() != 1700000000000 {
		t.Errorf("a claim's token: got %v", tick)
	}
}

// A name whose key holds other data has no holder.
//
// Seen to fail when the advice about such data passes for a token.
func TestMutex_holderOfData(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		for _, s := range fl.servers {
			s.Do("HSET", "job", "field", "value")
		}
		m := fl.process("a").mutex(t, "job")
		if holder, err := m.Holder(t.Context()); holder != "" || !errors.Is(err, redlock.ErrTaken) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("Holder: %q, %v; want ErrTaken and the cure", holder, err)
		}
		if leader, err := newElector(t, m).Leader(t.Context()); leader != "" || !errors.Is(err, redlock.ErrTaken) {
			t.Errorf("Leader: %q, %v; want ErrTaken", leader, err)
		}
	})
}

// One node lost the lock and another, which may have it, does not answer.
//
// Seen to fail when that passes for a free name: an elector knew no leader while there was one.
func TestMutex_holderUnknown(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		m := p.mutex(t, "job")
		lease := must[*redlock.Lease](t)(m.TryLock(t.Context()))
		synctest.Wait()
		fl.servers[1].Do("DEL", "job")
		if holder := must[string](t)(m.Holder(t.Context())); holder != lease.Token() {
			t.Errorf("two of three nodes: %q, want %q", holder, lease.Token())
		}
		p.links[2].Hang()
		p.links[0].Inject(1, redlocktest.Fault{Err: io.EOF})
		if holder, err := m.Holder(t.Context()); !errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("one fails, one does not hold it, one hangs: %q, %v; want ErrNoQuorum", holder, err)
		}
		time.Sleep(time.Second)
		if holder, err := m.Holder(t.Context()); !errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("one holds it, one does not, one hangs: %q, %v; want ErrNoQuorum", holder, err)
		}
		p.links[2].Heal()
		time.Sleep(time.Minute) // the node is asked again
		ok(t, lease.Unlock(t.Context()))
	})
}

// The Locker is closed while a vote that wins is under way.
//
// Seen to fail when the error also says that there was no quorum.
func TestTryLock_closedMeanwhile(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		p.delay(10*time.Millisecond, 10*time.Millisecond)
		time.AfterFunc(15*time.Millisecond, func() { ok(t, p.Close(context.Background())) })
		if _, err := p.mutex(t, "job").TryLock(t.Context()); !errors.Is(err, redlock.ErrClosed) || errors.Is(err, redlock.ErrNoQuorum) {
			t.Errorf("got %v, want ErrClosed alone", err)
		}
	})
}

// The caller of Extend gives up. That is no failed renewal.
//
// Seen to fail when the observer is warned of it.
func TestLease_extendGivenUp(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		var d diary
		p := fl.process("a", redlock.WithObserver(d.observe))
		p.delay(10*time.Millisecond, 10*time.Millisecond)
		lease := must[*redlock.Lease](t)(p.mutex(t, "job").TryLock(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := lease.Extend(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		if kinds := d.kinds("job"); slices.Contains(kinds, redlock.RenewFailed) {
			t.Errorf("events %v", kinds)
		}
		ok(t, lease.Unlock(t.Context()))
	})
}
