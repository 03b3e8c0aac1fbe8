package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// lasting lists the kinds of companion keys that outlive a lock.
var lasting = []string{"last", "fence", "runs", "pause"}

// Names returns, sorted, up to limit names that begin with prefix: those that are
// locked now, and those with a remembered tick, fence, run or pause. more reports
// whether there are others. A lock is recognized by its token, so those of other
// libraries and of most [redlock.WithTokenFunc] are not listed.
//
// It scans the databases page by page, all nodes concurrently, and pauses between
// pages, so it takes time in proportion to their size; ctx bounds it. A node that
// is a [driver.Cluster] is scanned on every master.
func (i *Inspector) Names(ctx context.Context, prefix string, limit int) (names []string, more bool, err error) {
	return i.list(ctx, prefix, "*", limit, true)
}

// Jobs is like [Inspector.Names] but omits names that are only locked. It reads no
// values, so it is much faster if a database holds many other keys.
func (i *Inspector) Jobs(ctx context.Context, prefix string, limit int) (names []string, more bool, err error) {
	return i.list(ctx, prefix, "*:redtick:*", limit, false)
}

func (i *Inspector) list(ctx context.Context, prefix, pattern string, limit int, locked bool) (names []string, more bool, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, false, err
	}
	failed := &redlock.Error{Op: "list", Name: prefix, Reason: redlock.ErrNoQuorum}
	full := i.prefix + prefix
	found := scanAll(ctx, i, escapeGlob(full)+pattern, failed, func(n int, keys []string, found map[string]bool) error {
		candidates := companionsIn(full, keys, found)
		if !locked {
			return nil
		}
		return i.locksIn(ctx, n, candidates, found)
	})
	for name := range found {
		names = append(names, strings.TrimPrefix(name, i.prefix))
	}
	slices.Sort(names)
	if more = len(names) > limit; more {
		names = names[:limit]
	}
	return names, more, i.outcome(ctx, failed)
}

func checkLimit(limit int) error {
	if limit < 1 {
		return fmt.Errorf("%w: limit is %d, must be at least 1", redlock.ErrInvalid, limit)
	}
	return nil
}

// companionsIn adds the names that have a lasting companion among keys, and returns the keys that are not companions.
func companionsIn(prefix string, keys []string, found map[string]bool) (others []string) {
	for _, key := range keys {
		switch name, kind := protocol.Split(key); {
		case name == "" && !found[key]:
			others = append(others, key)
		case slices.Contains(lasting, kind) && strings.HasPrefix(name, prefix):
			found[name] = true
		}
	}
	return others
}

// locksIn reads the keys in one pipeline, and adds those that are held locks.
func (i *Inspector) locksIn(ctx context.Context, node int, candidates []string, found map[string]bool) error {
	commands := make([]driver.Command, len(candidates))
	for k, key := range candidates {
		commands[k] = tokenOf(key)
	}
	for k, r := range i.ask(ctx, node, commands...) {
		token, err := textIn(r)
		if code := driver.ErrorCode(err); code == "ASK" || code == "MOVED" {
			continue // it has just moved to another master of a Cluster
		}
		if err != nil {
			return err
		}
		if protocol.IsOwn(token) {
			found[candidates[k]] = true
		}
	}
	return nil
}

// Tick is a claimed tick.
type Tick struct {
	Tick   time.Time
	Token  string
	Holder string
}

// Ticks returns, newest first, up to limit ticks of a name that one owner has
// claimed on a majority of the nodes. It scans the databases, as
// [Inspector.Names] does.
func (i *Inspector) Ticks(ctx context.Context, name string, limit int) ([]Tick, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	keys := protocol.KeysOf(i.prefix + name)
	failed := &redlock.Error{Op: "ticks", Name: name, Reason: redlock.ErrNoQuorum}
	found := scanAll(ctx, i, escapeGlob(keys.TickPrefix())+"*", failed, func(_ int, page []string, found map[int64]bool) error {
		for _, key := range page {
			if ms, err := strconv.ParseInt(strings.TrimPrefix(key, keys.TickPrefix()), 10, 64); err == nil {
				found[ms] = true
			}
		}
		return nil
	})
	newest := slices.Sorted(maps.Keys(found))
	slices.Reverse(newest)
	var ticks []Tick
	for page := range slices.Chunk(newest, limit) { // the first page is usually enough
		ticks = append(ticks, i.claimed(ctx, keys, page, failed)...)
		if len(ticks) >= limit {
			return ticks[:limit], i.outcome(ctx, failed)
		}
	}
	return ticks, i.outcome(ctx, failed)
}

// claimed returns the ticks that one owner has claimed on a majority. It adds nodes that do not answer to failed.
func (i *Inspector) claimed(ctx context.Context, keys protocol.Keys, page []int64, failed *redlock.Error) (ticks []Tick) {
	commands := make([]driver.Command, len(page))
	for k, ms := range page {
		commands[k] = driver.Command{"HKEYS", keys.Tick(ms)}
	}
	all := i.askAll(ctx, commands...)
	var errs []*redlock.NodeError
	for n, r := range all {
		if err := r[0].Err; err != nil {
			errs = append(errs, &redlock.NodeError{Node: i.group.Pipelines[n].Name(), Err: err})
		}
	}
	if len(errs) > len(failed.Nodes) {
		failed.Nodes = errs
	}
	for k, ms := range page {
		votes := map[string]int{}
		for _, r := range all {
			for _, token := range claimants(r[k]) {
				if votes[token]++; votes[token] == i.group.Quorum {
					ticks = append(ticks, Tick{Tick: protocol.Instant(ms), Token: token, Holder: redlock.HolderOf(token)})
				}
			}
		}
	}
	return ticks
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// scanAll scans all nodes concurrently, and returns what visit has found on any. It adds nodes that fail to failed.
func scanAll[K comparable](ctx context.Context, i *Inspector, pattern string, failed *redlock.Error, visit func(node int, keys []string, found map[K]bool) error) map[K]bool {
	all := make([]map[K]bool, len(i.nodes))
	errs := make([]error, len(i.nodes))
	i.each(func(n int) []driver.Reply {
		all[n] = map[K]bool{}
		errs[n] = i.scan(ctx, n, pattern, func(keys []string) error { return visit(n, keys, all[n]) })
		return nil
	})
	found := map[K]bool{}
	for n, err := range errs {
		maps.Copy(found, all[n])
		if err != nil {
			failed.Nodes = append(failed.Nodes, &redlock.NodeError{Node: i.group.Pipelines[n].Name(), Err: err})
		}
	}
	return found
}

// scan visits the keys of one node that match pattern, page by page, some perhaps twice. On a Redis Cluster it visits
// every master, or fails.
func (i *Inspector) scan(ctx context.Context, node int, pattern string, visit func(keys []string) error) error {
	masters, err := i.masters(ctx, node)
	switch {
	case err != nil:
		return err
	case len(masters) == 0:
		return i.scanNode(ctx, node, pattern, visit)
	}
	at, err := New(masters, WithTimeout(i.timeout))
	if err != nil {
		return err
	}
	for k := range masters {
		if err := at.scanNode(ctx, k, pattern, visit); err != nil {
			return fmt.Errorf("%s: %w", at.group.Pipelines[k].Name(), err)
		}
	}
	return nil
}

// masters returns a node for each master of a Redis Cluster, or none for other nodes.
func (i *Inspector) masters(ctx context.Context, node int) ([]driver.Node, error) {
	cluster, ok := i.nodes[node].(driver.Cluster)
	if !ok {
		return nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	return cluster.Masters(bounded)
}

func (i *Inspector) scanNode(ctx context.Context, node int, pattern string, visit func(keys []string) error) error {
	for cursor := "0"; ; {
		begin := time.Now()
		r := i.ask(ctx, node, driver.Command{"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"})[0]
		page, _ := r.Value.([]any)
		if r.Err != nil {
			return r.Err
		}
		if len(page) != 2 {
			return protocol.Unexpected(r)
		}
		listed, _ := page[1].([]any)
		keys := make([]string, 0, len(listed))
		for k := range listed {
			keys = append(keys, protocol.Text(listed, k))
		}
		if err := visit(keys); err != nil {
			return err
		}
		if cursor = protocol.Text(page, 0); cursor == "" {
			return protocol.Unexpected(r)
		}
		if cursor == "0" {
			return nil
		}
		rest(ctx, time.Since(begin)) // leave the server half of the time for other clients
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
