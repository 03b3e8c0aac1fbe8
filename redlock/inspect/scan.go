package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	if limit < 1 {
		return nil, false, fmt.Errorf("%w: limit is %d, must be at least 1", redlock.ErrInvalid, limit)
	}
	failed := i.failure("list", prefix)
	full := i.prefix + prefix
	found := make([]map[string]bool, len(i.nodes))
	errs := each(i, func(n int) error {
		found[n] = map[string]bool{}
		return i.scan(ctx, n, escapeGlob(full)+pattern, func(keys []string) error {
			candidates := companionsIn(full, keys, found[n])
			if !locked {
				return nil
			}
			return i.locksIn(ctx, n, candidates, found[n])
		})
	})
	all := map[string]bool{}
	for n, err := range errs {
		maps.Copy(all, found[n])
		failed.note(n, err)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		names = append(names, strings.TrimPrefix(name, i.prefix))
	}
	if more = len(names) > limit; more {
		names = names[:limit]
	}
	return names, more, failed.outcome(ctx)
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

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// scan visits the keys of one node that match pattern, page by page, some perhaps twice. On a Redis Cluster it visits
// every master, or fails.
func (i *Inspector) scan(ctx context.Context, node int, pattern string, visit func(keys []string) error) error {
	cluster, ok := i.nodes[node].(driver.Cluster)
	if !ok {
		return i.scanNode(ctx, node, pattern, visit)
	}
	bounded, cancel := context.WithTimeout(ctx, i.timeout)
	masters, err := cluster.Masters(bounded)
	cancel()
	switch {
	case err != nil:
		return err
	case len(masters) == 0: // not a Cluster after all
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
		keys := make([]string, len(listed))
		for k := range listed {
			keys[k] = protocol.Text(listed, k)
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
