package redlocktest

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

func checkEmptyBatch(_ *testing.T, node subject) {
	node.batch()
	node.want("OK", "SET", "after", "it")
}

func checkOrder(t *testing.T, node subject) {
	replies := node.batch(slices.Repeat([]driver.Command{line("INCR", "n")}, 100)...)
	for i, reply := range replies {
		if reply.Err != nil || reply.Value != int64(i+1) {
			t.Fatalf("INCR number %d of a batch: value %s, error %v; send a batch as one pipeline on one connection, "+
				"and keep the replies in the order of the commands", i+1, typed(reply.Value), reply.Err)
		}
	}
}

// bigBatch is about twice the largest batch that the core sends.
const bigBatch = 2000

func checkBigBatch(t *testing.T, node subject) {
	var commands []driver.Command
	for i := range bigBatch / 2 {
		name := "key" + strconv.Itoa(i)
		commands = append(commands, line("SET", name, name, "PX", "60000"), line("GET", name))
	}
	for i, reply := range node.batch(commands...) {
		want := "OK"
		if i%2 == 1 {
			want = commands[i][1].(string)
		}
		if reply.Err != nil || reply.Value != want {
			t.Fatalf("command %d of a batch of %d: value %s, error %v, want %q; the core sends batches of more than 1,000",
				i, bigBatch, typed(reply.Value), reply.Err, want)
		}
	}
}

func checkBigValue(t *testing.T, node subject) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	node.want("OK", "SET", "big", big)
	if reply := node.one("GET", "big"); reply.Err != nil || reply.Value != big {
		t.Errorf("a value of 1 MiB did not come back as it was sent: error %v", reply.Err)
	}
}

func checkExpiry(t *testing.T, node subject) {
	node.want("OK", "SET", "short", "x", "PX", "50")
	left := node.one("PTTL", "short")
	if ms, ok := left.Value.(int64); !ok || ms < 0 || ms > 50 {
		t.Errorf("PTTL right after SET PX 50: value %s, error %v, want 0 to 50", typed(left.Value), left.Err)
	}
	time.Sleep(100 * time.Millisecond)
	if reply := node.one("GET", "short"); reply.Value != nil || reply.Err != nil {
		t.Errorf("GET 100 ms after SET PX 50: value %s, error %v, want a null; "+
			"test with a server whose keys expire by real time", typed(reply.Value), reply.Err)
	}
}

func checkDeadline(_ *testing.T, node subject) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	node.check(node.send(ctx, []driver.Command{line("SET", "key", "a")})[0], "OK", []string{"SET", "key", "a"})
	node.check(node.send(context.Background(), []driver.Command{line("GET", "key")})[0], "a", []string{"GET", "key"})
}

// checkContextOver allows errors and correct answers, but nothing else.
func checkContextOver(t *testing.T, node subject) {
	past, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	for range 3 {
		for i, reply := range node.send(past, []driver.Command{line("SET", "key", "a"), line("GET", "key")}) {
			if want := []string{"OK", "a"}[i]; reply.Err == nil && reply.Value != want {
				t.Errorf("command %d, sent with a context that is over: value %s and no error; "+
					"return the error for each command that was not answered", i, typed(reply.Value))
			}
		}
		// A connection with unread replies would return them for this batch.
		node.want("OK", "SET", "other", "b")
		node.want("b", "GET", "other")
	}
}

// checkManyGoroutines calls Do from several goroutines, first in turn, then
// concurrently.
func checkManyGoroutines(t *testing.T, node subject) {
	var turn sync.Mutex
	onMany(func(text string) {
		turn.Lock()
		defer turn.Unlock()
		node.roundTrip(t.Context(), "key", text, "from one goroutine after the other")
	})
	onMany(func(text string) {
		node.roundTrip(t.Context(), "key"+text, text, "from many goroutines at once: it must be safe for concurrent use")
	})
}

// onMany calls f from several goroutines, each time with a different text.
func onMany(f func(text string)) {
	const goroutines, rounds = 8, 25
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range rounds {
				f(strconv.Itoa(g*rounds + i))
			}
		})
	}
	all.Wait()
}

func (s subject) roundTrip(ctx context.Context, key, text, how string) {
	replies := s.node.Do(ctx, []driver.Command{line("SET", key, text), line("GET", key)})
	if len(replies) != 2 || replies[0].Value != "OK" || replies[1].Value != text {
		s.t.Errorf("Do %s: replies %v, want OK and %q", how, replies, text)
	}
}

// checkSharedCommands runs one batch on two nodes concurrently, as a vote does. The
// race detector catches a driver that writes to it.
func checkSharedCommands(t *testing.T, a, b subject) {
	batch := []driver.Command{line("SET", "key", "value"), line("GET", "key"), line("EVAL", "return ARGV[1]", "0", "x")}
	before := []driver.Command{slices.Clone(batch[0]), slices.Clone(batch[1]), slices.Clone(batch[2])}
	var both sync.WaitGroup
	for _, node := range []subject{a, b} {
		both.Go(func() { node.node.Do(t.Context(), batch) })
	}
	both.Wait()
	if !reflect.DeepEqual(batch, before) {
		t.Errorf("Do changed the commands to %q; all nodes share them: change a copy", batch)
	}
}
