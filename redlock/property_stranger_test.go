package redlock_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// turncoat is an honest link until it is told to lie: then the server behind it is not asked any more.
type turncoat struct {
	driver.Node

	mu      sync.Mutex
	lie     lie
	batches int
}

// lie answers a batch in a server's place.
type lie func(commands []driver.Command) []driver.Reply

func (n *turncoat) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	// A trip takes time, so whatever goes round in circles meets its limit instead of stopping the bubble's clock.
	time.Sleep(time.Millisecond)
	n.mu.Lock()
	n.batches++
	tell := n.lie
	n.mu.Unlock()
	if tell != nil {
		return tell(commands)
	}
	return n.Node.Do(ctx, commands)
}

func (n *turncoat) turn(l lie) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lie = l
}

func (n *turncoat) sent() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.batches
}

// always gives every command the same reply.
func always(r driver.Reply) lie {
	return func(commands []driver.Command) []driver.Reply {
		replies := make([]driver.Reply, len(commands))
		for i := range replies {
			replies[i] = r
		}
		return replies
	}
}

// turncoats is a process whose nodes lie from now on: the first so many of them.
func (fl *fleet) turncoats(name string, opts ...redlock.LockerOption) (*redlock.Locker, []*turncoat) {
	fl.t.Helper()
	var links []*turncoat
	var nodes []driver.Node
	for _, n := range redlocktest.Nodes(fl.servers, name) {
		links = append(links, &turncoat{Node: n})
		nodes = append(nodes, links[len(links)-1])
	}
	opts = append([]redlock.LockerOption{redlock.WithHolder(name), redlock.WithTTL(strangerTTL)}, opts...)
	l := must[*redlock.Locker](fl.t)(redlock.New(nodes, opts...))
	fl.lockers = append(fl.lockers, l)
	return l, links
}

const (
	strangerTTL = 3 * time.Second
	// patienceFor is more than a claim goes on for: six node timeouts of a tenth of the TTL each, and the vote that is then under way.
	patienceFor = 3 * time.Second
)

// oddity is something that no healthy server answers.
type oddity struct {
	name string
	lie  lie
	// plausible ones cannot be told from a vote, a grant among them.
	plausible bool
}

func oddities() (all []oddity) {
	for _, text := range []string{
		"LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica.",
		"MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "CLUSTERDOWN The cluster is down", "TRYAGAIN Multiple keys request during rehashing of slot",
		"OOM command not allowed when used memory > 'maxmemory'.", "WRONGTYPE Operation against a key holding the wrong kind of value",
		"NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT", "NOAUTH Authentication required.", "NOPERM no permissions",
		"BUSY Redis is busy running a script.", "MISCONF Redis is configured to save RDB snapshots", "ERR unknown command", "", " ", "i/o timeout",
		"a: b\r\n-NOSCRIPT", "\x00\xff", strings.Repeat("E", 1<<10) + " x",
	} {
		all = append(all, oddity{name: "error " + strings.ToValidUTF8(text[:min(len(text), 12)], "?"), lie: always(driver.Reply{Err: errors.New(text)})})
	}
	for name, value := range map[string]any{
		"float": 3.5, "not a number": math.NaN(), "bool": true, "int": 7, "bytes": []byte("OK"), "map": map[string]any{"a": 1}, "struct": struct{}{},
		"empty array": []any{}, "array of null": []any{nil, nil}, "array of arrays": []any{[]any{[]any{"GRANTED"}}}, "deep": deep(1000),
		"strings": []string{"GRANTED", "1"}, "unknown word": []any{"MAYBE", "1"}, "number for a word": []any{int64(1), "GRANTED"},
		"lost": []any{"LOST"}, "dead": []any{"DEAD", "x"}, "young for ever": []any{"YOUNG", int64(math.MaxInt64)}, "young before": []any{"YOUNG", int64(math.MinInt64)},
	} {
		all = append(all, oddity{name: name, lie: always(driver.Reply{Value: value})})
	}
	return append(all, shapes()...)
}

func plausible() (all []oddity) {
	for name, value := range map[string]any{
		"null": nil, "zero": int64(0), "one": int64(1), "two": int64(2), "minus one": int64(-1), "least": int64(math.MinInt64), "OK": "OK", "empty string": "",
		"huge string": strings.Repeat("x", 10<<20), "granted": []any{"GRANTED"}, "granted, no fence": []any{"GRANTED", []any{}},
		"granted, fence below zero": []any{"GRANTED", "-5"}, "taken by nobody": []any{"TAKEN"}, "taken by a number": []any{"TAKEN", int64(3), "x", nil},
		"seen for ever": []any{"SEEN", "a@9223372036854775807", int64(math.MaxInt64), int64(math.MaxInt64)},
		"taken before":  []any{"TAKEN", "a/b@1", int64(math.MinInt64), "99999999999999999999"}, "stale": []any{"STALE"}, "ahead": []any{"AHEAD", "now"},
		"a page": []any{"0", []any{"job", nil, int64(1), "job:redtick:{job}:tick:x"}},
	} {
		all = append(all, oddity{name: name, lie: always(driver.Reply{Value: value}), plausible: true})
	}
	return all
}

// shapes are answers that do not match their questions in number.
func shapes() []oddity {
	return []oddity{
		{name: "no replies", lie: func([]driver.Command) []driver.Reply { return nil }},
		{name: "one reply too few", lie: func(c []driver.Command) []driver.Reply {
			return always(driver.Reply{Err: errRefused})(c)[:len(c)-1]
		}},
		{name: "too many replies", lie: func(c []driver.Command) []driver.Reply {
			return append(always(driver.Reply{Value: true})(c), make([]driver.Reply, 3)...)
		}},
		{name: "value and error", lie: always(driver.Reply{Value: "OK", Err: errors.New("ERR both")})},
	}
}

func deep(levels int) any {
	var v any = "bottom"
	for range levels {
		v = []any{v}
	}
	return v
}

// attempt is one operation, and how long it may take whatever the nodes say.
type attempt struct {
	name  string
	limit time.Duration
	do    func(ctx context.Context, l *redlock.Locker, m *subject) (*redlock.Lease, error)
}

func attempts() []attempt {
	return []attempt{
		{"trylock", patienceFor, func(ctx context.Context, _ *redlock.Locker, m *subject) (*redlock.Lease, error) {
			return m.TryLock(ctx)
		}},
		{"claim", patienceFor, func(ctx context.Context, _ *redlock.Locker, m *subject) (*redlock.Lease, error) {
			return m.Claim(ctx, time.Now())
		}},
		{"lock", patienceFor + time.Second, func(ctx context.Context, _ *redlock.Locker, m *subject) (*redlock.Lease, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return m.Lock(ctx)
		}},
		{"adopt", patienceFor, func(ctx context.Context, _ *redlock.Locker, m *subject) (*redlock.Lease, error) {
			return m.Adopt(ctx, "another/token@1")
		}},
		{"holder", patienceFor, func(ctx context.Context, _ *redlock.Locker, m *subject) (*redlock.Lease, error) {
			_, err := m.Holder(ctx)
			return nil, err
		}},
		{"bootstrap", 6 * time.Second, func(ctx context.Context, l *redlock.Locker, _ *subject) (*redlock.Lease, error) {
			return nil, bootstrap(ctx, l)
		}},
	}
}

// within runs f and checks what time it took.
func within(t *testing.T, what string, limit time.Duration, f func() error) error {
	t.Helper()
	begin := time.Now()
	err := f()
	if took := time.Since(begin); took > limit {
		t.Errorf("%s took %v, at most %v are allowed; it said: %.300v", what, took, limit, err)
	}
	return err
}

// told checks that err is an outcome that a caller can tell, in words.
func told(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if err.Error() == "" || strings.Contains(err.Error(), "%!") {
		t.Errorf("%s: the error says %.300q", what, err)
	}
	for _, outcome := range []error{
		redlock.ErrTaken, redlock.ErrTickDone, redlock.ErrTickStale, redlock.ErrClockSkew, redlock.ErrNoQuorum, redlock.ErrLost,
		redlock.ErrNodeYoung, redlock.ErrInvalid, context.DeadlineExceeded,
	} {
		if errors.Is(err, outcome) {
			return
		}
	}
	var of *redlock.NodeError
	if !errors.As(err, &of) {
		t.Errorf("%s: %.300q matches no outcome", what, err)
	}
}
