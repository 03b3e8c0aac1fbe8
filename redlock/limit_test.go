package redlock_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// What is not guaranteed, shown. These tests fail when a limit goes away, and the documents must then be changed.

// Node clocks that run faster than the drift allows end a lock before its holder's validity does.
func TestLimit_clockRates(t *testing.T) {
	for _, c := range []struct {
		name string
		rate float64
		two  bool
	}{{"within the drift", 1.009, false}, {"beyond the drift", 1.5, true}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				for _, s := range fl.servers {
					s.SetClock(0, c.rate)
				}
				a, b := fl.process("a", redlock.WithoutRenewal()).mutex(t, "job"), fl.process("b").mutex(t, "job")
				first := must[*redlock.Lease](t)(a.Lock(t.Context()))
				second := must[*redlock.Lease](t)(b.Lock(t.Context()))
				if two := time.Now().Before(first.ValidUntil()); two != c.two {
					t.Errorf("two holders at once: %v, want %v", two, c.two)
				}
				ok(t, second.Unlock(t.Context()))
				_ = first.Unlock(t.Context())
			})
		})
	}
}

// A holder that does not look at its context, as one that is paused cannot, goes on beside the next holder. The fence
// tells the resource which is which.
func TestLimit_pausedHolder(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		a, b := fl.process("a", redlock.WithFencing()), fl.process("b", redlock.WithFencing())
		paused := must[*redlock.Lease](t)(a.mutex(t, "job", redlock.WithTTL(2*time.Second)).Lock(t.Context()))
		for _, l := range a.links {
			l.Hang()
		}
		time.Sleep(5 * time.Second) // and the job still believes that it holds the name
		next := must[*redlock.Lease](t)(b.mutex(t, "job").Lock(t.Context()))
		if paused.Fence() >= next.Fence() {
			t.Errorf("the paused holder's fence %d would be accepted after %d", paused.Fence(), next.Fence())
		}
		ok(t, next.Unlock(t.Context()))
		for _, l := range a.links {
			l.Heal()
		}
		_ = paused.Unlock(t.Context())
	})
}

// Without last on any node and past the retention there is no memory of a tick: it is refused, not risked.
func TestLimit_retention(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		m := fl.process("a").mutex(t, "job")
		never := time.Now().Add(-time.Hour) // nobody ran it, and nobody can know that
		if _, err := m.Claim(t.Context(), never); err == nil {
			t.Error("a tick older than the retention was granted")
		}
	})
}

// While a list of nodes is replaced by another, both are in use. A majority of one and a majority of the other must have a node in
// common, as they have if the lists differ by one node more or less.
func TestLimit_otherNodes(t *testing.T) {
	for _, c := range []struct {
		before, after string
		two           bool
	}{
		{"A", "AB", false}, {"AB", "ABC", false}, {"ABC", "ABCD", false}, // and so on, and the way back
		{"ABCD", "ABD", false}, // C is replaced by D in two steps
		{"ABC", "ABD", true}, {"ABC", "ABCDE", true}, {"A", "ABC", true},
	} {
		t.Run(c.before+" to "+c.after, func(t *testing.T) {
			two := false
			for _, reached := range majorities(c.before) {
				for _, others := range majorities(c.after) {
					if two {
						break
					}
					inBubble(t, 5, func(t *testing.T, fl *fleet) {
						holder, newcomer := fl.cutOff("a", c.before, reached), fl.cutOff("b", c.after, others)
						lease := must[*redlock.Lease](t)(holder.mutex(t, "job").TryLock(t.Context()))
						if second, err := newcomer.mutex(t, "job").TryLock(t.Context()); err == nil {
							two = true
							ok(t, second.Unlock(t.Context()))
						}
						ok(t, lease.Unlock(t.Context()))
					})
				}
			}
			if two != c.two {
				t.Errorf("two holders at once: %v, want %v", two, c.two)
			}
		})
	}
}

// cutOff is a process with these nodes, of which it reaches some.
func (fl *fleet) cutOff(name, nodes, reached string) *process {
	all := fl.servers
	defer func() { fl.servers = all }()
	fl.servers = nil
	for _, n := range nodes {
		fl.servers = append(fl.servers, all[n-'A'])
	}
	p := fl.process(name)
	for i, n := range nodes {
		if !strings.ContainsRune(reached, n) {
			p.links[i].Hang()
		}
	}
	return p
}

// majorities are the smallest ones of some nodes.
func majorities(nodes string) (found []string) {
	for set := range 1 << len(nodes) {
		var chosen []byte
		for i := range nodes {
			if set&(1<<i) != 0 {
				chosen = append(chosen, nodes[i])
			}
		}
		if len(chosen) == len(nodes)/2+1 {
			found = append(found, string(chosen))
		}
	}
	return found
}

// The nodes remember a tick for the retention of the replica that claimed it. A replica with a longer one asks for ticks that they have
// forgotten.
func TestLimit_mixedRetentions(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		first, second time.Duration // retentions
		mode          redlock.JobOption
		after         time.Duration // when the second replica asks for the tick that the first one ran
		dies          bool          // the first one dies as soon as it is granted the tick
		twice         bool
	}{
		"any order":                   {time.Minute, day, redlock.WithAnyOrder(), time.Hour, false, true},
		"any order, the other way":    {day, time.Minute, redlock.WithAnyOrder(), time.Hour, false, false},
		"any order, the same":         {day, day, redlock.WithAnyOrder(), time.Hour, false, false},
		"in order":                    {time.Minute, day, redlock.WithHistory(0), time.Hour, false, false}, // last is remembered for 7 days
		"in order, dies":              {time.Minute, day, redlock.WithHistory(0), time.Hour, true, true},
		"in order, dies, the same":    {day, day, redlock.WithHistory(0), time.Hour, true, false},
		"in order, a week":            {day, 30 * day, redlock.WithHistory(0), 8 * day, false, true},
		"in order, a week, the same":  {30 * day, 30 * day, redlock.WithHistory(0), 8 * day, false, false},
		"taken over, a week":          {day, 30 * day, redlock.WithTakeover(), 8 * day, false, true},
		"taken over, a week the same": {30 * day, 30 * day, redlock.WithTakeover(), 8 * day, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(t *testing.T, fl *fleet) {
				a, b := fl.process("a"), fl.process("b")
				tick := time.Now()
				lease := must[*redlock.Lease](t)(a.mutex(t, "job", redlock.WithRetention(c.first), c.mode).Claim(t.Context(), tick))
				if c.dies {
					for _, l := range a.links {
						l.Hang()
					}
				}
				time.Sleep(time.Second)
				_ = lease.Unlock(t.Context())
				time.Sleep(c.after)
				second, err := b.mutex(t, "job", redlock.WithRetention(c.second), c.mode).Claim(t.Context(), tick)
				if twice := err == nil; twice != c.twice {
					t.Errorf("run twice: %v (%v), want %v", twice, err, c.twice)
				}
				if err == nil {
					ok(t, second.Unlock(t.Context()))
				}
				for _, l := range a.links {
					l.Heal()
				}
			})
		})
	}
}
