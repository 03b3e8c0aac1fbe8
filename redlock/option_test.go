package redlock_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// Wrong arguments are refused at construction, with the value and the rule.
func TestOptions_refused(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  redlock.LockerOption
		says []string
	}{
		{"ttl zero", redlock.WithTTL(0), []string{"0s", "20ms", "24h"}},
		{"ttl negative", redlock.WithTTL(-time.Second), []string{"-1s", "20ms"}},
		{"ttl just too short", redlock.WithTTL(19 * time.Millisecond), []string{"19ms", "20ms"}},
		{"ttl just too long", redlock.WithTTL(24*time.Hour + 1), []string{"24h0m0.000000001s"}},
		{"drift negative", redlock.WithDrift(-0.1), []string{"-0.1", "0.5"}},
		{"drift too large", redlock.WithDrift(0.51), []string{"0.51", "0.5"}},
		{"drift not a number", redlock.WithDrift(math.NaN()), []string{"NaN"}},
		{"node timeout negative", redlock.WithNodeTimeout(-1), []string{"-1ns", "1ms"}},
		{"node timeout half the ttl", redlock.WithNodeTimeout(15 * time.Second), []string{"15s", "half the TTL"}},
		{"retention shorter than the ttl", redlock.WithRetention(10 * time.Second), []string{"10s", "30s"}},
		{"retention too long", redlock.WithRetention(1000 * time.Hour), []string{"1000h", "720h"}},
		{"skew too small", redlock.WithMaxSkew(time.Millisecond), []string{"1ms", "1s"}},
		{"lateness beyond the longest retention", redlock.WithLateness(720 * time.Hour), []string{"lateness is 720h", "less than the retention (720h"}},
		{"catch-up beyond the longest retention", redlock.WithCatchUp(math.MaxInt64 - time.Hour), []string{"catch-up is", "less than the retention (720h"}},
		{"spacing negative", redlock.WithSpacing(-1), []string{"-1ns"}},
		{"max hold negative", redlock.WithMaxHold(-1), []string{"-1ns"}},
		{"holder empty", redlock.WithHolder(""), []string{"holder", "1 to 256"}},
		{"token func nil", redlock.WithTokenFunc(nil), []string{"WithTokenFunc"}},
		{"back-off nil", redlock.WithBackoff(nil), []string{"WithBackoff"}},
		{"guard shorter than the ttl", redlock.WithRestartGuard(time.Second), []string{"1s", "30s"}},
		{"guard too long", redlock.WithRestartGuard(48 * time.Hour), []string{"guard", "48h", "at most 24h"}},
		{"nil option", nil, []string{"nil"}},
		{"take-over in any order", func() redlock.LockerOption {
			return redlock.WithTakeover()
		}(), []string{"WithTakeover", "WithAnyOrder"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := []redlock.LockerOption{c.opt}
			if c.name == "take-over in any order" {
				opts = append(opts, redlock.WithAnyOrder())
			}
			_, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"), opts...)
			if !errors.Is(err, redlock.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestOptions_limitsAreAllowed(t *testing.T) {
	const month = 30 * 24 * time.Hour
	for name, opt := range map[string]redlock.LockerOption{
		"longest lateness": redlock.WithLateness(month - 1), "longest catch-up": redlock.WithCatchUp(month - 1),
		"largest skew": redlock.WithMaxSkew(24 * time.Hour), "largest spacing": redlock.WithSpacing(7 * 24 * time.Hour), "largest spread": redlock.WithSpread(time.Minute),
		"largest handicap": redlock.WithHandicap(time.Minute), "longest hold": redlock.WithMaxHold(math.MaxInt64), "longest history": redlock.WithHistory(1000),
		"shortest node timeout": redlock.WithNodeTimeout(time.Millisecond),
		"shortest ttl":          redlock.WithTTL(20 * time.Millisecond), "longest ttl": redlock.WithTTL(24 * time.Hour),
		"no drift": redlock.WithDrift(0), "largest drift": redlock.WithDrift(0.5),
		"longest retention": redlock.WithRetention(720 * time.Hour), "guard of one ttl": redlock.WithRestartGuard(30 * time.Second),
	} {
		if _, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"), opt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNew_nodes(t *testing.T) {
	server := redlocktest.NewServer()
	for _, c := range []struct {
		name  string
		nodes []driver.Node
		says  string
	}{
		{"none", nil, "no nodes"},
		{"nil", []driver.Node{nil}, "node 1 of 1 is nil"},
		{"typed nil", []driver.Node{server.Node("a"), (*redlocktest.Node)(nil)}, "node 2 of 2 is nil"},
		{"twice", []driver.Node{server.Node("a"), server.Node("b"), server.Node("a")}, "nodes 1 and 3 are the same (a)"},
	} {
		_, err := redlock.New(c.nodes)
		if !errors.Is(err, redlock.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrInvalid that says %q", c.name, err, c.says)
		}
	}
}

func TestNewMutex_names(t *testing.T) {
	l := must[*redlock.Locker](t)(redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"), redlock.WithPrefix("app:")))
	for name, good := range map[string]bool{
		"": false, "a": true, strings.Repeat("x", 1020): true, strings.Repeat("x", 1021): false, strings.Repeat("x", 10<<20): false,
		"new\nline": true, "nul\x00byte": true, "{}": false, "}{": false, "a{b": false, "{a}b": true, "läuft": true,
		"{b}:redtick:pause": false, "{b}:redtick:tick:1": false, "b:redtick:{app:b}:last": false, "b:redtick:{b}:last": true, "{b}:redtick:paused": true,
	} {
		m, err := l.NewMutex(name)
		if (err == nil) != good {
			t.Errorf("name of %d bytes: %v", len(name), err)
		}
		if err := l.CheckName(name); (err == nil) != good {
			t.Errorf("CheckName of %d bytes: %v", len(name), err)
		}
		if good && m.Name() != "app:"+name {
			t.Errorf("name is %q", m.Name())
		}
	}
}

// The default of each option is the constant of its name.
func TestOptions_defaults(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, fl *fleet) {
		p := fl.process("a")
		begin := time.Now()
		lease := must[*redlock.Lease](t)(p.mutex(t, "job").TryLock(t.Context()))
		want := redlock.DefaultTTL - time.Duration(redlock.DefaultDrift*float64(redlock.DefaultTTL)) - 2*time.Millisecond
		if got := lease.ValidUntil().Sub(begin); got != want {
			t.Errorf("default validity is %v, want %v", got, want)
		}
		ok(t, lease.Unlock(t.Context()))
		for _, c := range []struct {
			tick time.Duration
			opts []redlock.LockerOption
			want error
		}{
			{-redlock.DefaultRetention, nil, nil},
			{-redlock.DefaultRetention - time.Millisecond, nil, redlock.ErrTickStale},
			{redlock.DefaultMaxSkew, nil, nil},
			{redlock.DefaultMaxSkew + time.Millisecond, nil, redlock.ErrClockSkew},
			{-redlock.DefaultAnyOrderRetention, []redlock.LockerOption{redlock.WithAnyOrder()}, nil},
			{-redlock.DefaultAnyOrderRetention - time.Millisecond, []redlock.LockerOption{redlock.WithAnyOrder()}, redlock.ErrTickStale},
		} {
			lease, err := p.mutex(t, c.tick.String(), c.opts...).Claim(t.Context(), time.Now().Add(c.tick))
			if !errors.Is(err, c.want) {
				t.Errorf("tick %v from now: %v, want %v", c.tick, err, c.want)
			}
			if lease != nil {
				ok(t, lease.Unlock(t.Context()))
			}
		}
	})
}
