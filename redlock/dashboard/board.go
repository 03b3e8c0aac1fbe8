package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/inspect"
)

const (
	maxNames = 1000
	maxRuns  = 40
	// maxAsked is how many known names a look asks about, besides all new ones.
	maxAsked = 200
	// rereadAfter is after how long a job's runs are read again although the newest is unchanged.
	rereadAfter = time.Minute
	// maxGone is how many removed names are kept for viewers that lag behind.
	maxGone = 1000
)

// board is what is known of all names. Viewers share it, and it outlives them.
type board struct {
	turn         sync.Mutex // held during a look; guards the next two
	nodes        nodes      // as last sent
	nodesVersion int        // of the look that last changed nodes

	mu      sync.Mutex // guards the rest
	entries map[string]*entry
	gone    map[string]int // removed names, and the version that removed them
	oldest  int            // gone is complete for changes after this version
	version int            // the number of looks
	newest  *look
	known   time.Time // when a majority of the nodes last answered
}

// entry is what is known of one name.
type entry struct {
	info  *inspect.Info
	runs  *inspect.Runs
	asked time.Time
	read  time.Time // when the runs were read
	stale bool      // no majority answered the last query

	row     row
	text    []byte // the row in JSON
	version int    // of the look that last changed the row
}

// look polls the nodes, one caller at a time.
func (b *board) look(ctx context.Context, p *Page) *look {
	b.turn.Lock()
	defer b.turn.Unlock()
	described := make(chan []inspect.Node, 1)
	go func() { described <- p.inspector.Nodes(ctx) }()
	names, more, complete, err := p.roster.names(ctx, p)
	// Queries about names begin after the nodes are described: they would lengthen the measured round trip.
	h := head{Control: p.user != nil, More: more, Searching: !complete, Nodes: describeAll(<-described, b.nodes)}
	answers := b.query(ctx, p, b.due(names, time.Now(), p.interval))
	failed := 0
	for _, a := range answers {
		if a.err != nil {
			failed++
			err = cmp.Or(err, a.err)
		}
	}
	h.Outage = h.Nodes.outage() || failed > 0 && failed == len(answers)
	if err != nil {
		h.Error = err.Error()
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil && b.newest != nil {
		return b.newest // the answers are incomplete
	}
	now := time.Now()
	b.version++
	if !slices.Equal(b.nodes, h.Nodes) {
		b.nodes, b.nodesVersion = h.Nodes, b.version
	}
	if !h.Outage {
		b.known = now
		b.note(answers, now)
		b.forget(names)
		b.describe(p, now)
	}
	b.newest = b.snapshot(h, now)
	return b.newest
}

// answer is the nodes' answer to a query about a name.
type answer struct {
	info *inspect.Info
	runs *inspect.Runs // nil when they were not read
	err  error
}

// query asks about all names concurrently, so that the queries share pipelines and
// a silent node is waited for once.
func (b *board) query(ctx context.Context, p *Page, names []string) map[string]*answer {
	answers := make(map[string]*answer, len(names))
	var all sync.WaitGroup
	for _, name := range names {
		a := &answer{}
		answers[name] = a
		known := b.entries[name] // changed only by the holder of b.turn
		all.Go(func() {
			if a.info, a.err = p.inspector.Show(ctx, name); a.err == nil && known.outdatedBy(a.info) {
				a.runs, a.err = p.inspector.Runs(ctx, name)
			}
		})
	}
	all.Wait()
	return answers
}

// outdatedBy reports whether the runs have to be read again, given info.
func (e *entry) outdatedBy(info *inspect.Info) bool {
	if info.LastRun == nil {
		return false
	}
	if e == nil || e.runs == nil || e.info.LastRun == nil || time.Since(e.read) > rereadAfter {
		return true
	}
	resumed := info.Paused == nil && e.info.Paused != nil // changes the next tick
	return resumed || *info.LastRun != *e.info.LastRun || info.Token != e.info.Token
}

// due returns the names that a look asks about: all new ones, then up to maxAsked
// others, first those that run or are due, then those asked about longest ago.
func (b *board) due(names []string, now time.Time, interval time.Duration) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var fresh, others []string
	for _, name := range names {
		if e := b.entries[name]; e == nil || now.Sub(e.asked) > 20*interval {
			fresh = append(fresh, name)
		} else {
			others = append(others, name)
		}
	}
	slices.SortStableFunc(others, func(x, y string) int {
		return b.entries[x].urgency(now, interval).Compare(b.entries[y].urgency(now, interval))
	})
	return append(fresh, others[:min(len(others), maxAsked)]...)
}

// urgency returns when the name was asked about. If it runs or is due, that counts as longer ago.
func (e *entry) urgency(now time.Time, interval time.Duration) time.Time {
	next := time.UnixMilli(e.row.Next)
	if e.row.Holder != "" || e.stale || e.row.Next > 0 && next.Before(now.Add(interval)) && next.After(now.Add(-time.Minute)) {
		return e.asked.Add(-5 * interval)
	}
	return e.asked
}

// ask makes the next look ask about name.
func (b *board) ask(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[name]; e != nil {
		e.asked = time.Time{}
	}
}

// note stores answers. If too few nodes answered, it keeps what was known of the name.
func (b *board) note(answers map[string]*answer, now time.Time) {
	for name, a := range answers {
		e := b.entries[name]
		if e == nil {
			e = &entry{}
			b.entries[name] = e
		}
		e.asked, e.stale = now, a.err != nil
		if a.err != nil && e.info != nil {
			continue
		}
		if e.info = a.info; a.runs != nil {
			e.runs, e.read = a.runs, now
		}
		if a.info.LastRun == nil {
			e.runs = nil
		}
	}
}

// forget drops entries that are not among names, which are sorted.
func (b *board) forget(names []string) {
	for name, e := range b.entries {
		if _, listed := slices.BinarySearch(names, name); !listed {
			delete(b.entries, name)
			b.hide(name, e)
		}
	}
	if len(b.gone) > maxGone {
		b.gone, b.oldest = map[string]int{}, b.version
	}
}

func (b *board) hide(name string, e *entry) {
	if e.text != nil {
		e.text, b.gone[name] = nil, b.version
	}
}

// describe recomputes the rows, and records which have changed.
func (b *board) describe(p *Page, now time.Time) {
	for name, e := range b.entries {
		if e.nothing() {
			b.hide(name, e)
			continue
		}
		e.row = e.describe(now, e.row)
		text, err := json.Marshal(e.row)
		if err == nil && !bytes.Equal(text, e.text) {
			e.text, e.version = text, b.version
			delete(b.gone, name)
		}
	}
}

// nothing reports whether the nodes know nothing of a name: it was forgotten or unlocked after the scan found it.
func (e *entry) nothing() bool {
	i := e.info
	return !e.stale && i.Token == "" && i.LastTick.IsZero() && i.LastRun == nil && i.Fence == 0 && i.Paused == nil && i.Waiters == 0
}

// snapshot returns the state of the board. It does not change later.
func (b *board) snapshot(h head, now time.Time) *look {
	l := &look{head: h, version: b.version, oldest: b.oldest, gone: maps.Clone(b.gone), nodesVersion: b.nodesVersion, encoded: map[int][]byte{}}
	l.head.Now, l.head.Known = now.UnixMilli(), milliseconds(b.known)
	for _, name := range slices.Sorted(maps.Keys(b.entries)) {
		if e := b.entries[name]; e.text != nil {
			l.rows = append(l.rows, shown{version: e.version, text: e.text})
		}
	}
	return l
}

// detail returns all that is known of a name.
func (b *board) detail(name string) (d detail, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[name]
	if e == nil || e.text == nil {
		return detail{}, false
	}
	return e.detail(), true
}
