package redlock

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// Inspector looks at what the nodes hold, for operators. It works with nodes
// down: what it returns says which of them did not answer. It is safe for
// concurrent use, and changes nothing except by [Inspector.Release].
type Inspector struct {
	l       *Locker
	timeout time.Duration
}

// NewInspector returns an inspector over a Locker's nodes. Each of its calls
// waits for silent nodes no longer than timeout; 0 means one second.
func NewInspector(l *Locker, timeout time.Duration) *Inspector {
	if timeout <= 0 {
		timeout = time.Second
	}
	return &Inspector{l: l, timeout: timeout}
}

// NameInfo is what the nodes know of one name.
type NameInfo struct {
	Name string
	// Token is what a majority of the nodes holds, or "" when the name is free.
	Token string
	// Holder is the readable part of Token.
	Holder string
	// Tick is the tick that the holder has claimed, or the zero time for a lock.
	Tick time.Time
	// Remaining is how long the lock lives without renewal.
	Remaining time.Duration
	// LastTick is the newest tick granted, and LastHolder who claimed it, as long as the nodes remember.
	LastTick   time.Time
	LastHolder string
	// Fence is the highest fence given out, or 0.
	Fence int64
	// Waiters is how many processes wait for the name.
	Waiters int
	// Votes is what each node holds, in the order of the nodes.
	Votes []VoteInfo
}

// VoteInfo is one node's part of a [NameInfo].
type VoteInfo struct {
	Node      string
	Token     string
	Remaining time.Duration
	Err       error
}

// Show describes one name. The error matches [ErrNoQuorum] when no majority
// answered; what is known is returned all the same.
func (i *Inspector) Show(ctx context.Context, name string) (*NameInfo, error) {
	k := newKeys(i.l.cfg.prefix + name)
	a := ask{script: inspectScript, cmd: inspectScript.command([]string{k.lock, k.last, k.fence, k.waiters}, k.base+"tick:")}
	info := &NameInfo{Name: name}
	failed := &Error{Op: "inspect", Name: name, Reason: ErrNoQuorum}
	count := map[string]int{}
	for n, r := range i.gather(ctx, a) {
		vote := VoteInfo{Node: i.l.boxes[n].name, Err: r.Err}
		if fields, ok := r.Value.([]any); ok && r.Err == nil {
			vote.Token = text(fields, 0)
			vote.Remaining = lifetime(number(fields, 1))
			info.merge(fields)
		} else {
			vote.Err = cmpErr(r.Err, unexpected(r).err)
			failed.Nodes = append(failed.Nodes, &NodeError{Node: vote.Node, Err: vote.Err})
		}
		if count[vote.Token]++; vote.Token != "" && count[vote.Token] >= i.l.quorum {
			info.Token, info.Holder, info.Tick = vote.Token, HolderOf(vote.Token), TickOf(vote.Token)
		}
		info.Votes = append(info.Votes, vote)
	}
	for _, v := range info.Votes {
		if v.Token == info.Token && info.Token != "" {
			info.Remaining = max(info.Remaining, v.Remaining)
		}
	}
	return info, i.verdict(ctx, failed)
}

func (info *NameInfo) merge(fields []any) {
	if last := number(fields, 2); last > 0 && !time.UnixMilli(last).Before(info.LastTick) {
		info.LastTick = time.UnixMilli(last).UTC()
		if claimant := text(fields, 3); claimant != "" {
			info.LastHolder = HolderOf(claimant)
		}
	}
	info.Fence = max(info.Fence, number(fields, 4))
	info.Waiters = max(info.Waiters, int(number(fields, 5)))
}

// ourToken tells our locks from other strings in the same database.
var ourToken = regexp.MustCompile(`/[A-Za-z0-9_-]{22}(@[0-9]+)?$`)

// companionKey spares the many keys of ticks a question of their own.
var companionKey = regexp.MustCompile(`:redtick[+-]?:(tick|dead|wait|last|fence)`)

// Names lists, sorted, up to limit names that begin with prefix and that the
// nodes know of: those that are locked now, and those of which a tick or a
// fence is remembered. It scans the databases, so it takes time in proportion
// to their size; ctx bounds it. more tells that there are others.
func (i *Inspector) Names(ctx context.Context, prefix string, limit int) (names []string, more bool, err error) {
	if limit < 1 {
		return nil, false, invalid("limit is %d, must be at least 1", limit)
	}
	found := map[string]bool{}
	failed := &Error{Op: "list", Name: prefix, Reason: ErrNoQuorum}
	for n, b := range i.l.boxes {
		if err := i.scan(ctx, n, i.l.cfg.prefix+prefix, found); err != nil {
			failed.Nodes = append(failed.Nodes, &NodeError{Node: b.name, Err: err})
		}
	}
	for name := range found {
		names = append(names, strings.TrimPrefix(name, i.l.cfg.prefix))
	}
	slices.Sort(names)
	if more = len(names) > limit; more {
		names = names[:limit]
	}
	return names, more, i.verdict(ctx, failed)
}

func (i *Inspector) scan(ctx context.Context, node int, prefix string, found map[string]bool) error {
	// A companion key may begin with a brace before the name.
	return i.scanKeys(ctx, node, "*"+escapeGlob(prefix)+"*", func(key string) error {
		name := nameOf(key)
		if name == "" && strings.HasPrefix(key, prefix) && !companionKey.MatchString(key) {
			r := i.askOne(ctx, node, driver.Command{"GET", key})
			if a, failure := readFailure(r); failure && a.verdict == failed {
				return r.Err
			}
			if held, _ := r.Value.(string); ourToken.MatchString(held) {
				name = key
			}
		}
		if name != "" && strings.HasPrefix(name, prefix) {
			found[name] = true
		}
		return nil
	})
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// nameOf is the name whose `last` or fence a key is, or "".
func nameOf(key string) string {
	for _, what := range []string{"last", "fence"} {
		for _, ending := range []string{":redtick:", ":redtick+:", ":redtick-:"} {
			spelled, ok := strings.CutSuffix(key, ending+what)
			if !ok {
				continue
			}
			switch ending {
			case ":redtick:":
				spelled = strings.TrimSuffix(strings.TrimPrefix(spelled, "{"), "}")
			case ":redtick-:":
				_, spelled, _ = strings.Cut(spelled, "}")
			}
			if companion(spelled)+what == key {
				return spelled
			}
		}
	}
	return ""
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// Release takes a name from its holder, on all nodes, if the holder's token is
// still the given one: the token guards against releasing a later holder. The
// holder is told at its next renewal. It does not undo a claim: a tick stays
// claimed. The error matches [ErrLost] when another token, or none, is there.
func (i *Inspector) Release(ctx context.Context, name, token string) error {
	m, err := i.l.NewMutex(name)
	if err != nil {
		return err
	}
	// The tombstone keeps the holder's renewal from putting the key back.
	a := ask{script: abortScript, read: readCount, cmd: abortScript.command([]string{m.keys.lock, m.keys.tombstone(token)}, token, milliseconds(maxTTL))}
	v := i.l.post(i.l.putAll(a, time.Now().Add(i.timeout), false))
	t, err := v.wait(ctx, i.timeout)
	switch {
	case err != nil:
		return m.fail("release", 0, t, err)
	case t.won():
		i.l.post(i.l.putAll(m.release(token, 0, true), time.Now().Add(i.timeout), false)) // wakes whoever waits
		return nil
	case t.majority(t.refused):
		return m.fail("release", 0, t, ErrLost)
	}
	return m.fail("release", 0, t, ErrNoQuorum)
}

// NodeInfo is the state of one node.
type NodeInfo struct {
	Name string
	// RoundTrip is how long a command took, and ClockOffset how far the node's clock is ahead of ours, give or take that.
	RoundTrip, ClockOffset time.Duration
	// Version, RunID, Role, MaxMemoryPolicy and Persistence ("aof always", "aof everysec", "rdb", "none") are the server's own words.
	Version, RunID, Role, MaxMemoryPolicy, Persistence string
	Err                                                error
}

// Nodes describes all nodes.
func (i *Inspector) Nodes(ctx context.Context) []NodeInfo {
	infos := make([]NodeInfo, len(i.l.boxes))
	var all sync.WaitGroup
	for n, b := range i.l.boxes {
		all.Go(func() {
			infos[n] = i.node(ctx, n)
			infos[n].Name = b.name
		})
	}
	all.Wait()
	return infos
}

func (i *Inspector) node(ctx context.Context, n int) (info NodeInfo) {
	begin := time.Now()
	r := i.askOne(ctx, n, driver.Command{"TIME"})
	info.RoundTrip = time.Since(begin)
	if info.Err = r.Err; info.Err != nil {
		return info
	}
	fields, _ := r.Value.([]any)
	if len(fields) != 2 {
		info.Err = unexpected(r).err
		return info
	}
	theirs := time.Unix(number(fields, 0), number(fields, 1)*1000)
	info.ClockOffset = theirs.Sub(begin.Add(info.RoundTrip / 2)).Round(time.Microsecond)
	reply, _ := i.askOne(ctx, n, driver.Command{"INFO"}).Value.(string)
	info.Version, info.RunID, info.Role = infoField(reply, "redis_version"), infoField(reply, "run_id"), infoField(reply, "role")
	info.MaxMemoryPolicy = infoField(reply, "maxmemory_policy")
	switch {
	case infoField(reply, "aof_enabled") == "1":
		config, _ := i.askOne(ctx, n, driver.Command{"CONFIG", "GET", "appendfsync"}).Value.([]any)
		info.Persistence = strings.TrimSpace("aof " + text(config, 1))
	case infoField(reply, "aof_enabled") == "0":
		info.Persistence = "none"
		if config, _ := i.askOne(ctx, n, driver.Command{"CONFIG", "GET", "save"}).Value.([]any); text(config, 1) != "" {
			info.Persistence = "rdb"
		}
	}
	return info
}

// infoField is the value of a field of INFO.
func infoField(info, field string) string {
	_, after, found := strings.Cut("\n"+info, "\n"+field+":")
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(value)
}

// replies collects what nodes answer, whatever it is.
type replies struct {
	mu   sync.Mutex
	all  []driver.Reply
	left int
	done chan struct{}
}

func (g *replies) receive(node int, r driver.Reply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all[node] = r
	if g.left--; g.left == 0 {
		close(g.done)
	}
}

// gather asks all nodes and waits for all of them, at most the time-out.
func (i *Inspector) gather(ctx context.Context, a ask) []driver.Reply {
	boxes := make([]int, len(i.l.boxes))
	for n := range boxes {
		boxes[n] = n
	}
	return i.collect(ctx, boxes, a)
}

func (i *Inspector) askOne(ctx context.Context, node int, cmd driver.Command) driver.Reply {
	return i.collect(ctx, []int{node}, ask{cmd: cmd})[0]
}

func (i *Inspector) collect(ctx context.Context, nodes []int, a ask) []driver.Reply {
	g := &replies{all: make([]driver.Reply, len(nodes)), left: len(nodes), done: make(chan struct{})}
	until := time.Now().Add(i.timeout)
	for k := range g.all {
		g.all[k].Err = errNoAnswer
	}
	for k, n := range nodes {
		i.l.boxes[n].post(&call{to: g, node: k, ask: a, until: until})
	}
	bounded, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	select {
	case <-g.done:
	case <-bounded.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	all := slices.Clone(g.all)
	for k := range all {
		if all[k].Err == errNoAnswer && ctx.Err() != nil {
			all[k].Err = ctx.Err() // it had no time to answer
		}
	}
	return all
}

// String is one line for people.
func (info *NameInfo) String() string {
	if info.Token == "" {
		return strconv.Quote(info.Name) + " is free"
	}
	return fmt.Sprintf("%q is held by %s for another %v", info.Name, info.Holder, info.Remaining)
}

// TickInfo is a tick that was claimed.
type TickInfo struct {
	Tick   time.Time
	Token  string
	Holder string
}

// Ticks lists, newest first, up to limit ticks of a name that a majority of
// the nodes remembers to be one owner's. Like [Inspector.Names] it scans.
func (i *Inspector) Ticks(ctx context.Context, name string, limit int) ([]TickInfo, error) {
	k := newKeys(i.l.cfg.prefix + name)
	failed := &Error{Op: "ticks", Name: name, Reason: ErrNoQuorum}
	base := k.base + "tick:"
	found := map[int64]bool{}
	for n, b := range i.l.boxes {
		err := i.scanKeys(ctx, n, escapeGlob(base)+"*", func(key string) error {
			if ms, err := strconv.ParseInt(strings.TrimPrefix(key, base), 10, 64); err == nil {
				found[ms] = true
			}
			return nil
		})
		if err != nil {
			failed.Nodes = append(failed.Nodes, &NodeError{Node: b.name, Err: err})
		}
	}
	var ticks []TickInfo
	for _, ms := range slices.Backward(slices.Sorted(maps.Keys(found))) {
		if len(ticks) >= limit {
			break
		}
		token, errs := i.claimant(ctx, base+decimal(ms))
		if token != "" {
			ticks = append(ticks, TickInfo{Tick: time.UnixMilli(ms).UTC(), Token: token, Holder: HolderOf(token)})
		} else if len(errs) > len(failed.Nodes) {
			failed.Nodes = errs
		}
	}
	return ticks, i.verdict(ctx, failed)
}

// claimant is the token that a majority of the nodes has for a tick, or "". It
// tells of the nodes that did not answer.
func (i *Inspector) claimant(ctx context.Context, key string) (token string, errs []*NodeError) {
	votes := map[string]int{}
	for n, r := range i.gather(ctx, ask{cmd: driver.Command{"HKEYS", key}}) {
		if r.Err != nil {
			errs = append(errs, &NodeError{Node: i.l.boxes[n].name, Err: r.Err})
		}
		fields, _ := r.Value.([]any)
		for n := range fields {
			if token, ok := strings.CutPrefix(text(fields, n), "token:"); ok {
				if votes[token]++; votes[token] >= i.l.quorum {
					return token, nil
				}
			}
		}
	}
	return "", errs
}

// verdict is failed unless a majority of the nodes answered.
func (i *Inspector) verdict(ctx context.Context, failed *Error) error {
	if len(i.l.boxes)-len(failed.Nodes) >= i.l.quorum {
		return nil
	}
	if err := ctx.Err(); err != nil {
		failed.Reason = err
	}
	return failed
}

// scanKeys calls visit for every key that matches pattern, some perhaps twice,
// until it returns an error.
func (i *Inspector) scanKeys(ctx context.Context, node int, pattern string, visit func(key string) error) error {
	for cursor := "0"; ; {
		r := i.askOne(ctx, node, driver.Command{"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"})
		page, _ := r.Value.([]any)
		if r.Err != nil || len(page) != 2 {
			return cmpErr(r.Err, unexpected(r).err)
		}
		keys, _ := page[1].([]any)
		for _, k := range keys {
			key, ok := k.(string)
			if !ok {
				continue
			}
			if err := visit(key); err != nil {
				return err
			}
		}
		if cursor, _ = page[0].(string); cursor == "" {
			return unexpected(r).err
		}
		if cursor == "0" {
			return nil
		}
	}
}
