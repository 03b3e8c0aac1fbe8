package redlock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/redlocktest"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Seen to fail while Check only looked: a read-only replica passed for a node that votes. So did a node whose memory is full
// while the write was one that Redis allows then.
func TestCheck(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a")
		ok(t, a.Check(t.Context()))
		if keys := fl.servers[0].Keys(); len(keys) != 0 {
			t.Errorf("it left %v", keys)
		}
		for _, code := range []string{"READONLY", "MISCONF", "NOREPLICAS", "OOM", "LOADING"} { // all but the last answer a read
			fl.servers[2].Answer(code)
			err := a.Check(t.Context())
			if err == nil || errors.Is(err, redlock.ErrNoQuorum) || !strings.Contains(err.Error(), code) {
				t.Errorf("one of three: %v, want its error alone", err)
			}
		}
		fl.servers[1].Freeze()
		begin := time.Now()
		err := a.Check(t.Context())
		if !errors.Is(err, redlock.ErrNoQuorum) || !strings.Contains(err.Error(), "LOADING") {
			t.Errorf("two of three: %v, want ErrNoQuorum and both causes", err)
		}
		if refusal, _ := errors.AsType[*redlock.Error](err); refusal == nil || len(refusal.Nodes) != 2 {
			t.Errorf("two of three: %v, want both causes", err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		fl.servers[1].Thaw()
		fl.servers[2].Answer("")
		time.Sleep(time.Minute)
		ok(t, a.Check(t.Context()))
	})
}

// Two nodes of three cannot vote, each for a reason of its own: one does not answer, the other answers a read and refuses a write.
//
// Seen to fail while a node was asked for a write only if all had answered the read: Check passed what TryLock failed on.
func TestCheck_differentCauses(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a")
		fl.servers[0].Freeze()
		fl.servers[2].Answer("READONLY")
		_, err := a.mutex(t, "job").TryLock(t.Context())
		wantOnly(t, err, redlock.ErrNoQuorum)
		err = a.Check(t.Context())
		wantOnly(t, err, redlock.ErrNoQuorum)
		for _, part := range []string{"; a/1: no", "; a/3: READONLY"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v, want %q", err, part)
			}
		}
		fl.servers[0].Thaw()
	})
}

// Check waits for all hung nodes at once.
//
// Seen to take 4.75 s while each had the node timeout after the one before it.
func TestCheck_manyHang(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, fl *fleet) {
		a := fl.process("a")
		for _, s := range fl.servers[:4] {
			s.Freeze()
		}
		begin := time.Now()
		wantOnly(t, a.Check(t.Context()), redlock.ErrNoQuorum)
		if took := time.Since(begin); took > 2500*time.Millisecond { // three tries of 500 ms, with as long a pause before each but the first
			t.Errorf("it took %v", took)
		}
		for _, s := range fl.servers[:4] {
			s.Thaw()
		}
	})
}

// The cause of a node that had too little time is not the node timeout.
//
// Seen to fail while every node without an answer was.
func TestCheck_endsWithItsCaller(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a")
		fl.servers[0].Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		if err := a.Check(ctx); err == nil || err.Error() != "a/1: no answer before the call ended" {
			t.Errorf("%v, want that the call ended first", err)
		}
		fl.servers[0].Thaw()
	})
}

// A server that is slow at first, as while a connection is made, is asked again.
func TestCheck_asksAgain(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a")
		a.links[1].Inject(1, redlocktest.Fault{Delay: 700 * time.Millisecond})
		ok(t, a.Check(t.Context()))
		synctest.Wait()
	})
}

// Seen to take 200 ms when an error that does not pass by itself is asked for again.
func TestCheck_permanentError(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a", redlock.WithNodeTimeout(100*time.Millisecond))
		a.links[2].Inject(-1, redlocktest.Fault{Err: errors.New("NOPERM this user has no permissions to run the 'evalsha' command")})
		begin := time.Now()
		if err := a.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%v, want NOPERM", err)
		}
		if took := time.Since(begin); took >= 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestCheck_closed(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		a := fl.process("a")
		ok(t, a.Close(t.Context()))
		if err := a.Check(t.Context()); !errors.Is(err, redlock.ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	})
}

// The error for a common mistake has the cure.
//
// Seen to fail while Check sent its script once, in full: a user without EVALSHA passed, whose second unlock was refused. And
// while its only write was a ZADD: a user without SET got no lock, one without DEL could release none, and one without PEXPIRE
// lost each lease after a TTL.
func TestCheck_accessRule(t *testing.T) {
	server := redisserver.Start(t)
	for _, missing := range []string{"-@scripting", "-evalsha", "-set", "-del", "-pexpire"} {
		must[any](t)(server.Do("ACL", "SETUSER", "weak", "reset", "on", ">secret", "~*", "&*", "+@all", missing))
		client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "weak", Password: "secret"})
		defer client.Close()
		l := must[*redlock.Locker](t)(redlock.New(goredis.Nodes(client)))
		defer func() { ok(t, l.Close(t.Context())) }()
		if err := l.Check(t.Context()); !errors.Is(err, redlock.ErrNoQuorum) || !strings.Contains(err.Error(), "NOPERM") || !strings.Contains(err.Error(), "SECURITY.md") {
			t.Errorf("%s: %v, want NOPERM and the cure", missing, err)
		}
	}
}

// A client without the password is told so: a server that waits for one cuts off a long command with another error than
// NOAUTH, and a claim, with its many arguments, is long.
//
// Seen to fail without that error's cure, and while node_out had none.
func TestCheck_noPassword(t *testing.T) {
	server := redisserver.Start(t, "--requirepass", "secret")
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	out := make(chan error, 1)
	l := must[*redlock.Locker](t)(redlock.New(goredis.Nodes(client), redlock.WithTTL(2*time.Second), redlock.WithObserver(func(e redlock.Event) {
		if e.Kind == redlock.NodeOut {
			out <- e.Err
		}
	})))
	defer func() { ok(t, l.Close(t.Context())) }()
	const cure = "set the client's password"
	if err := l.Check(t.Context()); err == nil || !strings.Contains(err.Error(), cure) {
		t.Errorf("check: %v, want %q", err, cure)
	}
	j := must[*redlock.Job](t)(l.NewJob("report"))
	for range 3 {
		if _, err := j.Claim(t.Context(), time.Now()); !errors.Is(err, redlock.ErrNoQuorum) || !strings.Contains(err.Error(), cure) {
			t.Errorf("claim: %v, want %q", err, cure)
		}
	}
	if err := <-out; !strings.Contains(err.Error(), cure) {
		t.Errorf("node_out: %v, want %q", err, cure)
	}
}

// Check does not begin a node's memory: the node can be declared fresh after it.
//
// Seen to fail when Check asks as a guarded claim would.
func TestCheck_guard(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a", redlock.WithRestartGuard(time.Minute))
		ok(t, a.Check(t.Context()))
		ok(t, bootstrap(t.Context(), a.Locker))
		ok(t, must[*redlock.Lease](t)(a.mutex(t, "job").TryLock(t.Context())).Unlock(t.Context()))
	})
}

// Seen to fail while a Check whose caller had no more time said that there was no quorum.
func TestCheck_endsWithItsCallerWithoutAMajority(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a := fl.process("a")
		fl.servers[0].Freeze()
		fl.servers[1].Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		err := a.Check(ctx)
		refusal, _ := errors.AsType[*redlock.Error](err)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redlock.ErrNoQuorum) || refusal == nil || len(refusal.Nodes) != 2 {
			t.Errorf("%v, want DeadlineExceeded and the two nodes", err)
		}
		fl.servers[0].Thaw()
		fl.servers[1].Thaw()
	})
}
