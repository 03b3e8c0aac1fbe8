package exchange_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

func TestDemoted(t *testing.T) {
	for text, want := range map[string]bool{
		"READONLY You can't write against a read only replica.":                                                                 true,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                                      true,
		"LOADING Redis is loading the dataset in memory":                                                                        true,
		"READONLY You can't write against a read only replica. script: 5bdb, on @user_script:1.":                                true,
		"ERR Error running script (call to f_5b): @user_script:1: @user_script: 1: -READONLY You can't write against a replica": true,
		"MOVED 15495 127.0.0.1:7001":            true,
		"ERR unknown command 'READONLY '":       false,
		"WRONGTYPE Operation : -READONLY value": false,
		"READONLYISH text":                      false,
		"dial tcp: connection refused":          false,
	} {
		if got := exchange.Demoted(driver.Reply{}, driver.Reply{Err: errors.New(text)}); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if exchange.Demoted(driver.Reply{}) {
		t.Error("no error counts as a demotion")
	}
}

func TestWithin(t *testing.T) {
	reply := func(text string) []driver.Reply { return []driver.Reply{{Value: text}} }
	for _, c := range []struct {
		name        string
		takes, ends time.Duration
		want        string
		after       time.Duration
	}{
		{"in time", time.Second, 2 * time.Second, "answer", time.Second},
		{"a moment late", 2*time.Second + time.Millisecond, 2 * time.Second, "answer", 2*time.Second + time.Millisecond},
		{"too late", time.Minute, 2 * time.Second, "late", 2*time.Second + 50*time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.ends)
				defer cancel()
				start := time.Now()
				got := exchange.Within(ctx, func() []driver.Reply {
					time.Sleep(c.takes)
					return reply("answer")
				}, func() []driver.Reply { return reply("late") })
				defer time.Sleep(c.takes) // let it end
				if got[0].Value != c.want || time.Since(start) != c.after {
					t.Errorf("got %v after %v, want %v after %v", got[0].Value, time.Since(start), c.want, c.after)
				}
			})
		})
	}
}

// A client that never returns is asked a few times, then once a minute: the calls in
// flight may hold dead connections while a new one would work.
func TestWatch_left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w exchange.Watch
		release := make(chan struct{})
		var started atomic.Int64
		ask := func(do func()) driver.Reply {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			return w.Do(ctx, []driver.Command{{"PING"}}, false, func() []driver.Reply {
				do()
				return make([]driver.Reply, 1)
			})[0]
		}
		hang := func() {
			started.Add(1)
			<-release
		}
		for range 100 {
			ask(hang)
		}
		if n := started.Load(); n != 8 {
			t.Errorf("%d calls hang, want 8", n)
		}
		if r := ask(hang); r.Err == nil || driver.ErrorCode(r.Err) != "" {
			t.Errorf("the ninth: %v, %v", r.Value, r.Err)
		}
		time.Sleep(time.Minute)
		if r := ask(func() {}); r.Err != nil {
			t.Errorf("after a minute: %v", r.Err)
		}
		close(release)
		synctest.Wait()
		for range 2 {
			if r := ask(func() {}); r.Err != nil {
				t.Errorf("once they have returned: %v", r.Err)
			}
		}
	})
}

// A Do without a goroutine must find the idle connection it counts on. If another
// Do takes it first, the client dials in the caller's goroutine, which may take any
// time.
func TestWatch_idleConnection(t *testing.T) {
	var w exchange.Watch
	ask := func(do func()) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		w.Do(ctx, []driver.Command{{"PING"}}, true, func() []driver.Reply {
			do()
			return make([]driver.Reply, 1)
		})
	}
	ask(func() {}) // which is answered
	began, taken, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go ask(func() {
		close(began)
		<-taken
	})
	<-began
	ask(func() { close(ended) }) // returns late, without an answer
	select {
	case <-ended:
		t.Error("another Do began before the first had its connection")
	default:
	}
	close(taken)
	<-ended
}
