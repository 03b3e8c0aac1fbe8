package main

import (
	"slices"
	"testing"
	"time"
)

const ms = instant(time.Millisecond)

// story returns a history of one name on a calm machine, with the parts that all tests
// share.
func story(events ...event) history {
	h := history{ttl: 2 * time.Second, start: 1, clock: time.UnixMilli(1_000_000), calm: 1, events: events}
	h.rests = []happened{{fault: fault{Kind: "replica leaves"}, from: 60_000 * ms, to: 61_000 * ms}}
	return h
}

func grant(name, token string, at, until instant, more func(*event)) event {
	e := event{Kind: granted, Name: name, Token: token, Call: at - ms, At: at, Until: until, process: owner(token)}
	if more != nil {
		more(&e)
	}
	return e
}

func done(name, token string, at, until instant) event {
	return event{Kind: ended, Name: name, Token: token, Call: at, At: at, Until: until, process: owner(token)}
}

func write(name, token string, at, until instant, fence int64, read, found content) event {
	return event{Kind: wrote, Name: name, Token: token, At: at, Until: until, Fence: fence, Read: &read, Found: &found}
}

func fence(n int64) func(*event) { return func(e *event) { e.Fence = n } }
func tick(n int64) func(*event)  { return func(e *event) { e.Tick, e.Op = n, "claim" } }

// If the checker finds nothing, there must be nothing to find. Mutations that this test and the two below catch: no overlap is one; the extensions of a lease do not count; a lease ends with its validity only; a stopped
// process is not excused; equal fences pass, here and in the model; two runs of a tick are one; late writers pass in
// spite of a fence; they fail without one; a killed process may leave a lock for ever; any number of nodes may be down;
// a busy machine is no excuse.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		h    history
		want []string // besides notAvailable, which is about the whole
	}{
		{"one after the other", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), done(plainLock, "a/1", 20*ms, 2000*ms),
			grant(plainLock, "b/1", 21*ms, 2000*ms, nil), done(plainLock, "b/1", 30*ms, 2000*ms)), nil},
		{"after the validity of a killed holder", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), grant(plainLock, "b/1", 2001*ms, 4000*ms, nil)), nil},
		{"within the validity of a killed holder", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), grant(plainLock, "b/1", 1999*ms, 4000*ms, nil)),
			[]string{overlapping, notALock}},
		{"within the renewed validity of a killed holder", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), event{Kind: extended, Name: plainLock, Token: "a/1", Until: 3000 * ms},
			grant(plainLock, "b/1", 2500*ms, 4000*ms, nil)), []string{overlapping, notALock}},
		{"before the unlock", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), done(plainLock, "a/1", 20*ms, 2000*ms),
			grant(plainLock, "b/1", 19*ms, 2000*ms, nil)), []string{overlapping, notALock}},
		{"another name", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), grant(longJob, "b/1", 20*ms, 2000*ms, nil)), nil},
		{"granted when it was over", story(grant(plainLock, "a/1", 3000*ms, 2000*ms, nil)), []string{tooLate}},
		{"fence grows", story(
			grant(fencedLock, "a/1", 10*ms, 20*ms, fence(5)), grant(fencedLock, "b/1", 30*ms, 40*ms, fence(6))), nil},
		{"fence stays", story(
			grant(fencedLock, "a/1", 10*ms, 20*ms, fence(5)), grant(fencedLock, "b/1", 30*ms, 40*ms, fence(5))),
			[]string{notALock, shrinking}},
		{"one run per tick", story(
			grant(longJob, "a/1", 10*ms, 20*ms, tick(1000)), grant(longJob, "b/1", 30*ms, 40*ms, tick(2000))), nil},
		{"two runs of one tick", story(
			grant(longJob, "a/1", 10*ms, 20*ms, tick(1000)), grant(longJob, "b/1", 30*ms, 40*ms, tick(1000))), []string{twice}},
		{"work went on while another worked", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), done(plainLock, "a/1", 3000*ms, 2000*ms),
			grant(plainLock, "b/1", 2100*ms, 4000*ms, nil), done(plainLock, "b/1", 3000*ms, 4000*ms)), []string{notTold, atWork}},
		{"work went on for a moment", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), done(plainLock, "a/1", 2200*ms, 2000*ms),
			grant(plainLock, "b/1", 2001*ms, 4000*ms, nil), done(plainLock, "b/1", 3000*ms, 4000*ms)), nil},
		{"work went on in a process that was stopped", story(
			grant(plainLock, "a/1", 10*ms, 2000*ms, nil), done(plainLock, "a/1", 3000*ms, 2000*ms),
			event{Kind: stalled, At: 100 * ms, Done: 2999 * ms, process: "a"},
			grant(plainLock, "b/1", 2100*ms, 4000*ms, nil), done(plainLock, "b/1", 3000*ms, 4000*ms)), nil},
		{"nobody wrote in between", story(
			write(plainLock, "a/1", 10*ms, 20*ms, 0, content{1, 0, "x"}, content{1, 0, "x"})), nil},
		{"both wrote inside validity", story(
			write(plainLock, "b/1", 5*ms, 20*ms, 0, content{1, 0, "x"}, content{1, 0, "x"}),
			write(plainLock, "a/1", 10*ms, 20*ms, 0, content{1, 0, "x"}, content{2, 0, "b/1"})), []string{lostWrite}},
		{"the other wrote too late, without a fence", story(
			write(plainLock, "b/1", 5*ms, 4*ms, 0, content{1, 0, "x"}, content{1, 0, "x"}),
			write(plainLock, "a/1", 10*ms, 20*ms, 0, content{1, 0, "x"}, content{2, 0, "b/1"})), nil},
		{"a fence let a late writer through", story(
			write(fencedLock, "a/1", 10*ms, 20*ms, 7, content{1, 0, "x"}, content{2, 7, "b/1"})), []string{lostWrite}},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, c.h, c.want) })
	}
}

func TestCheck_keys(t *testing.T) {
	for _, c := range []struct {
		name string
		key  foundKey
		want []string
	}{
		{"a lock of somebody who left", foundKey{name: plainLock, token: "a/1", left: time.Second}, []string{leftBehind}},
		{"a lock of somebody who was killed", foundKey{name: plainLock, token: "k/1", left: time.Second}, nil},
		{"a lock that outlives its holder's TTL", foundKey{name: plainLock, token: "k/1", left: time.Minute}, []string{leftBehind}},
		{"a companion that expires", foundKey{name: "plain:redtick:{plain}:last", left: time.Hour}, nil},
		{"a companion that does not", foundKey{name: "plain:redtick:{plain}:last", left: -1}, []string{leftBehind}},
		{"gone between scan and look", foundKey{name: plainLock, left: -2}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := story()
			h.killed, h.keys = map[string]bool{"k": true}, []foundKey{c.key}
			expect(t, h, c.want)
		})
	}
}

// One tick of the short job ran, and others had to, unless something excuses it.
func TestCheck_lostTicks(t *testing.T) {
	fault := func(kind string, nodes []int, from, to instant) func(*history) {
		return func(h *history) { h.faults = append(h.faults, happened{fault{Kind: kind, Nodes: nodes}, from, to}) }
	}
	for _, c := range []struct {
		name   string
		change func(*history)
		lost   int
	}{
		{"calm", func(*history) {}, 56},
		{"a minority is down", fault(nodeStop, []int{1, 2}, 0, 60_000*ms), 56},
		{"a majority is down", fault(nodeStop, []int{1, 2, 3}, 0, 60_000*ms), 0},
		{"links to a majority are down", fault(disconnect, []int{1, 2, 3}, 0, 60_000*ms), 0},
		{"a replica sleeps for a while", fault(replicaStop, nil, 30_000*ms, 31_000*ms), 56 - 6}, // due from 29 s to 34 s,
		{"the machine is busy for a while", func(h *history) {
			h.events = append(h.events, event{Kind: stalled, At: 30_100 * ms, Done: 30_300 * ms, process: "c"})
		}, 56 - 3}, // due from 29 s to 31 s
	} {
		t.Run(c.name, func(t *testing.T) {
			h := story(grant(shortJob, "a/1", 10_000*ms, 10_001*ms, tick(1_010_000)))
			c.change(&h)
			if found := check(h).found[lostTick]; len(found) != c.lost {
				t.Errorf("%d lost, want %d: %v", len(found), c.lost, found)
			}
		})
	}
}

// All leases that overlap a long one are reported, not only the first.
func TestCheck_everyOverlap(t *testing.T) {
	h := story(grant(plainLock, "a/1", 10*ms, 2000*ms, nil),
		grant(plainLock, "b/1", 20*ms, 30*ms, nil), grant(plainLock, "c/1", 40*ms, 50*ms, nil))
	if found := check(h).found[overlapping]; len(found) != 2 {
		t.Errorf("found %q", found)
	}
}

// expect compares the kinds of violations found, except those that every short story has.
func expect(t *testing.T, h history, want []string) {
	t.Helper()
	found := check(h).found
	for _, what := range violations() {
		if what != notAvailable && what != lostTick && slices.Contains(want, what) != (len(found[what]) > 0) {
			t.Errorf("%s: found %q", what, found[what])
		}
	}
}
