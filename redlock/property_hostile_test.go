package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// What a node says is no reason to panic, to wait longer than agreed, to leave a goroutine behind, or to count a vote
// that was not given. A node that lies on purpose is outside the guarantees: it may answer DONE, which is believed at
// once, or grant one name to two at a time. Beside such a node these tests ask one thing after the other.
//
// Mutations these fail under: an unexpected reply counts as granted; too few replies are not filled up; NOSCRIPT is
// answered with EVAL again and again; an error counts as a vote; releases that get no answer are kept for ever.

func TestHostile_everyNode(t *testing.T) {
	for _, odd := range append(oddities(), plausible()...) {
		t.Run(odd.name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) { besiege(t, fl, odd, nil) })
		})
	}
}

func TestHostile_everyNodeWithFencesAndGuard(t *testing.T) {
	opts := []redlock.LockerOption{redlock.WithFencing(), redlock.WithRestartGuard(strangerTTL)}
	for _, odd := range append(oddities(), plausible()...) {
		t.Run(odd.name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) { besiege(t, fl, odd, opts) })
		})
	}
}

// besiege tries everything on nodes of which none is honest.
func besiege(t *testing.T, fl *fleet, odd oddity, opts []redlock.LockerOption) {
	l, links := fl.turncoats("a", opts...)
	for _, n := range links {
		n.turn(odd.lie)
	}
	m := subjectOn(t, l, "job")
	for _, a := range attempts() {
		var lease *redlock.Lease
		err := within(t, a.name, a.limit, func() (err error) {
			lease, err = a.do(t.Context(), l, m)
			return err
		})
		told(t, a.name, err)
		if a.name != "holder" && a.name != "bootstrap" && (lease == nil) == (err == nil) {
			t.Errorf("%s: lease %v with error %v", a.name, lease, err)
		}
		if lease != nil {
			if !odd.plausible {
				t.Errorf("%s was granted", a.name)
			}
			told(t, "extend", within(t, "extend", patienceFor, func() error { return lease.Extend(t.Context()) }))
			told(t, "unlock", within(t, "unlock", patienceFor, func() error { return lease.Unlock(t.Context()) }))
		}
	}
	closes(t, fl)
}

// closes checks that what is owed to nodes that take no answer is given up with the keys' own expiry.
func closes(t *testing.T, fl *fleet) {
	t.Helper()
	for _, l := range fl.lockers {
		ok(t, within(t, "close", 2*strangerTTL+5*time.Second, func() error { return l.Close(context.Background()) }))
	}
}

// A lease that was won among honest nodes: then all of them turn.
func TestHostile_turnsWhileHeld(t *testing.T) {
	for _, odd := range append(oddities(), plausible()...) {
		t.Run(odd.name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				l, links := fl.turncoats("a")
				m := subjectOn(t, l, "job")
				lease := must[*redlock.Lease](t)(m.Claim(t.Context(), time.Now()))
				until := lease.ValidUntil()
				for _, n := range links {
					n.turn(odd.lie)
				}
				err := within(t, "extend", patienceFor, func() error { return lease.Extend(t.Context()) })
				told(t, "extend", err)
				if err == nil && !odd.plausible {
					t.Error("Extend was granted")
				}
				if !odd.plausible {
					time.Sleep(time.Until(until) + time.Millisecond)
					if cause := context.Cause(lease.Context()); !errors.Is(cause, redlock.ErrLost) {
						t.Errorf("the lease's context ended with %v, want ErrLost", cause)
					}
				}
				told(t, "unlock", within(t, "unlock", patienceFor, func() error { return lease.Unlock(t.Context()) }))
				closes(t, fl)
			})
		})
	}
}

// The honest majority decides, whatever the third node says, and whichever it is.
func TestHostile_minority(t *testing.T) {
	for k, odd := range append(oddities(), plausible()...) {
		t.Run(odd.name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				a, theirs := fl.turncoats("a")
				b, ours := fl.turncoats("b")
				theirs[k%3].turn(odd.lie)
				ours[k%3].turn(odd.lie)
				excludes(t, subjectOn(t, a, "job"), subjectOn(t, b, "job"))
				oncePerTick(t, subjectOn(t, a, "tick"), subjectOn(t, b, "tick"))
				time.Sleep(time.Second)
				if left := append(fl.locks("job"), fl.locks("tick")...); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		})
	}
}

// excludes takes a lock through its life beside somebody who wants it.
func excludes(t *testing.T, a, b *subject) {
	t.Helper()
	lease := must[*redlock.Lease](t)(a.TryLock(t.Context()))
	if _, err := b.TryLock(t.Context()); !errors.Is(err, redlock.ErrTaken) {
		t.Errorf("TryLock of what is held: %.300v, want ErrTaken", err)
	}
	if holder := must[string](t)(b.Holder(t.Context())); holder != lease.Token() {
		t.Errorf("the holder is %q, want %q", holder, lease.Token())
	}
	ok(t, lease.Extend(t.Context()))
	ok(t, lease.Unlock(t.Context()))
	time.Sleep(time.Second)
	ok(t, must[*redlock.Lease](t)(b.Lock(t.Context())).Unlock(t.Context()))
}

func oncePerTick(t *testing.T, a, b *subject) {
	t.Helper()
	tick := time.Now()
	lease := must[*redlock.Lease](t)(a.Claim(t.Context(), tick))
	for _, held := range []bool{true, false} {
		if _, err := b.Claim(t.Context(), tick); !errors.Is(err, redlock.ErrTaken) && !errors.Is(err, redlock.ErrTickDone) {
			t.Errorf("claimed again (held: %v): %.300v, want ErrTaken or ErrTickDone", held, err)
		}
		if held {
			ok(t, lease.Unlock(t.Context()))
		}
	}
}

// A node that never learns a script is told it once more in full, and no more: neither a vote nor the releases that
// follow go round in circles.
func TestHostile_noScriptForEver(t *testing.T) {
	for _, text := range []string{"NOSCRIPT No matching script.", "NOSCRIPT"} {
		t.Run(text, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				l, links := fl.turncoats("a")
				m := subjectOn(t, l, "job")
				before := make([]int, 3)
				// The scripts are known by then, so they are sent by digest first.
				ok(t, must[*redlock.Lease](t)(m.Claim(t.Context(), time.Now())).Unlock(t.Context()))
				time.Sleep(time.Second)
				for i, n := range links {
					before[i] = n.sent()
					n.turn(always(driver.Reply{Err: errors.New(text)}))
				}
				if _, err := m.Claim(t.Context(), time.Now()); !errors.Is(err, redlock.ErrNoQuorum) {
					t.Errorf("Claim: %v, want ErrNoQuorum", err)
				}
				closes(t, fl)
				for i, n := range links {
					if sent := n.sent() - before[i]; sent > 400 { // several rounds' aborts are owed for the TTL + 1 s, each tried once a second at most: about 200
						t.Errorf("node %d was sent %d batches for one claim", i+1, sent)
					}
				}
			})
		})
	}
}

func TestHostile_inspector(t *testing.T) {
	for _, odd := range append(oddities(), plausible()...) {
		t.Run(odd.name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				l, links := fl.turncoats("a")
				for _, n := range links {
					n.turn(odd.lie)
				}
				lookAt(t, inspectorOn(t, redlock.NodesOf(l)))
				closes(t, fl)
			})
		})
	}
}

// inspect asks all there is to ask. What is answered is the nodes' own affair.
func lookAt(t *testing.T, i *inspect.Inspector) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	limit := 11 * time.Second
	for what, ask := range map[string]func() error{
		"show": func() error {
			info, err := i.Show(ctx, "job")
			if info == nil || len(info.Votes) != 3 || info.String() == "" {
				t.Errorf("Show: %v (%v)", info, err)
			}
			return err
		},
		"names":   func() error { _, _, err := i.Names(ctx, "", 10); return err },
		"runs":    func() error { _, err := i.Runs(ctx, "job"); return err },
		"release": func() error { return i.Release(ctx, "job", "token") },
		"nodes": func() error {
			if infos := i.Nodes(ctx); len(infos) != 3 || infos[2].Name == "" {
				t.Errorf("Nodes: %v", infos)
			}
			return nil
		},
	} {
		_ = within(t, what, limit, ask)
	}
	time.Sleep(time.Minute) // what was asked is answered all the same
}

// A scan that never ends is ended by the caller's context.
func TestHostile_endlessScan(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		l, links := fl.turncoats("a")
		links[0].turn(func(commands []driver.Command) []driver.Reply {
			replies := make([]driver.Reply, len(commands))
			for i, c := range commands {
				if replies[i].Value = ""; c[0] == "SCAN" {
					replies[i].Value = []any{"7", []any{"job"}}
				}
			}
			return replies
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := within(t, "names", 2*time.Second, func() error {
			_, _, err := inspectorOn(t, redlock.NodesOf(l)).Names(ctx, "", 10)
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		time.Sleep(time.Second) // the last question is answered all the same
	})
}

// Notices are anybody's to publish.
func TestHostile_notices(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		node := &gossip{Node: redlocktest.Nodes(fl.servers, "a")[0]}
		for i := range 3 {
			node.notices = append(node.notices, fmt.Sprintf("%d:job", i-1), fmt.Sprintf("%d:x", 1<<(20*i)), fmt.Sprintf("3:%d", i))
		}
		node.notices = append(node.notices, "", ":", "x:y", "99999999999999999999:a", "-1:a", "0:", "0:job", "3:jobjob", "\x00:\xff")
		held := must[*redlock.Lease](t)(fl.process("holder").mutex(t, "job").Lock(t.Context()))
		l := must[*redlock.Locker](t)(redlock.New([]driver.Node{node}))
		fl.lockers = append(fl.lockers, l)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := subjectOn(t, l, "job").Lock(ctx)
		wantOnly(t, err, redlock.ErrTaken, context.DeadlineExceeded)
		ok(t, held.Unlock(t.Context()))
	})
}

// gossip delivers notices that nobody sent.
type gossip struct {
	driver.Node
	notices []string
}

func (n *gossip) Subscribe(ctx context.Context, _ string, ready func(), deliver func(string)) error {
	ready()
	for _, notice := range n.notices {
		deliver(notice)
	}
	<-ctx.Done()
	return ctx.Err()
}
