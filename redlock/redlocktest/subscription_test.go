package redlocktest_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest"
)

// listener is a Subscribe in its own goroutine.
type listener struct {
	ready atomic.Bool
	ended chan error

	mu       sync.Mutex
	messages []string
}

func listen(ctx context.Context, node *redlocktest.Node) *listener {
	l := &listener{ended: make(chan error, 1)}
	go func() {
		l.ended <- node.Subscribe(ctx, "c", func() { l.ready.Store(true) }, l.add)
	}()
	synctest.Wait()
	return l
}

func (l *listener) add(message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, message)
}

func (l *listener) want(t *testing.T, messages ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.messages, messages) {
		t.Errorf("messages %q, want %q", l.messages, messages)
	}
}

func wantReceivers(t *testing.T, server *redlocktest.Server, want int64) {
	t.Helper()
	if n := server.Do("PUBLISH", "c", "m").Value; n != want {
		t.Errorf("%v receivers, want %d", n, want)
	}
}

func TestNode_Subscribe_with_delay_keeps_the_order(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		ctx, cancel := context.WithCancel(context.Background())
		node.Delay(time.Millisecond, 50*time.Millisecond)
		l := listen(ctx, node)
		if l.ready.Load() {
			t.Error("ready was called before the server could confirm")
		}
		time.Sleep(100 * time.Millisecond)
		var want []string
		for i := range 50 {
			want = append(want, strconv.Itoa(i))
			server.Do("PUBLISH", "c", want[i])
			server.Do("PUBLISH", "other", "no")
		}
		l.want(t)
		time.Sleep(50 * time.Millisecond)
		l.want(t, want...)
		cancel()
		if err := <-l.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Subscribe returned %v", err)
		}
	})
}

func TestNode_Subscribe_ends_with_its_connection(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*redlocktest.Server, *redlocktest.Node)
		err  error
	}{
		{"Disconnect", func(_ *redlocktest.Server, n *redlocktest.Node) { n.Disconnect() }, redlocktest.ErrDisconnected},
		{"Restart", func(s *redlocktest.Server, _ *redlocktest.Node) { s.Restart() }, redlocktest.ErrRestarted},
		{"RestartWithData", func(s *redlocktest.Server, _ *redlocktest.Node) { s.RestartWithData() }, redlocktest.ErrRestarted},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
				l := listen(t.Context(), node)
				test.end(server, node)
				if test.err == redlocktest.ErrRestarted {
					wantReceivers(t, server, 0)
				}
				if err := <-l.ended; !errors.Is(err, test.err) {
					t.Errorf("Subscribe returned %v, want %v", err, test.err)
				}
				wantReceivers(t, server, 0)
			})
		})
	}
}

func TestNode_Subscribe_loses_notices_while_hung(t *testing.T) {
	bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
		ctx, cancel := context.WithCancel(context.Background())
		node.Delay(10*time.Millisecond, 10*time.Millisecond)
		l := listen(ctx, node)
		time.Sleep(20 * time.Millisecond)
		server.Do("PUBLISH", "c", "under way")
		time.Sleep(5 * time.Millisecond)
		node.Hang()
		server.Do("PUBLISH", "c", "hung")
		time.Sleep(20 * time.Millisecond)
		server.Do("PUBLISH", "c", "hung when it was sent")
		node.Heal()
		server.Do("PUBLISH", "c", "healed")
		time.Sleep(20 * time.Millisecond)
		l.want(t, "healed")
		cancel()
		<-l.ended
	})
}

func TestNode_Subscribe_that_does_not_come_about(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(*redlocktest.Server, *redlocktest.Node)
		err   error
		took  time.Duration
	}{
		{"hung", func(_ *redlocktest.Server, n *redlocktest.Node) { n.Hang() }, context.DeadlineExceeded, time.Second},
		{"frozen", func(s *redlocktest.Server, _ *redlocktest.Node) { s.Freeze() }, context.DeadlineExceeded, time.Second},
		{"refused", func(_ *redlocktest.Server, n *redlocktest.Node) {
			n.Inject(-1, redlocktest.Fault{Err: errRefused})
		}, errRefused, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *redlocktest.Server, node *redlocktest.Node) {
				node.IgnoreDeadline(true) // which a subscription never does
				test.fault(server, node)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				l := listen(ctx, node)
				if err := <-l.ended; !errors.Is(err, test.err) || l.ready.Load() || time.Since(start) != test.took {
					t.Errorf("Subscribe returned %v after %v, ready %v; want %v after %v, not ready",
						err, time.Since(start), l.ready.Load(), test.err, test.took)
				}
				server.Thaw()
				wantReceivers(t, server, 0)
			})
		})
	}
}

func TestNode_Subscribe_spares_injected_faults_for_batches(t *testing.T) {
	bubble(t, func(t *testing.T, _ *redlocktest.Server, node *redlocktest.Node) {
		ctx, cancel := context.WithCancel(context.Background())
		node.Inject(1, redlocktest.Fault{Err: errRefused})
		l := listen(ctx, node)
		if !l.ready.Load() {
			t.Error("the subscription does not stand")
		}
		wantFailure(t, node, errRefused, 0, "PING")
		cancel()
		<-l.ended
	})
}
