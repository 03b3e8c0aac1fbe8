package dashboard

import (
	"bytes"
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
	// maxAsked is how many names a look asks about, besides those that are new.
	maxAsked = 200
	// rereadAfter is for what happened between two looks to runs that are not the newest.
	rereadAfter = time.Minute
	// maxGone is how many names that are gone are told to viewers who are behind.
	maxGone = 1000
)

// board is what is known of the names. Viewers share it, and it outlives them.
type board struct {
	turn  sync.Mutex // held for a look
	nodes nodes      // as they were told last; guarded by turn

	mu      sync.Mutex // guards the rest
	entries map[string]*entry
	gone    map[string]int // names that are gone, and the look that missed them
	oldest  int            // the look from which on gone is complete
	version int
	newest  *look
	at      time.Time // of the newest look
	known   time.Time // when a majority of the nodes answered last
}

// entry is what is known of one name.
type entry struct {
	info  *inspect.Info
	runs  *inspect.Runs
	asked time.Time
	read  time.Time // when the runs were read
	stale bool      // no majority answered when it was asked about

	row     row
	text    []byte // the row in JSON
	version int    // the look that changed the row
}

// look asks the nodes, one look at a time. One that was made just now will do,
// unless it is new that is asked for.
func (b *board) look(ctx context.Context, p *Page, anew bool) *look {
	b.turn.Lock()
	defer b.turn.Unlock()
	if !anew && b.newest != nil && time.Since(b.at) < p.interval {
		return b.newest
	}
	patience := p.interval / 2
	if !anew {
		patience = time.Minute
	}
	described := make(chan []inspect.Node, 1)
	go func() { described <- p.inspector.Nodes(ctx) }()
	names, more, complete, err := p.roster.names(ctx, p, patience)
	// Questions about names wait for it: they would count as part of a node's round trip.
	h := head{Control: p.control, More: more, Searching: !complete, Nodes: describeAll(<-described, b.nodes)}
	b.nodes = h.Nodes
	answers := b.question(ctx, p, b.due(names, time.Now(), p.interval))
	if h.Outage = h.Nodes.outage() || unanswered(answers); err == nil {
		err = firstError(answers)
	}
	if err != nil {
		h.Error = err.Error()
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil && b.newest != nil {
		return b.newest // what is missing was not given the time to come
	}
	now := time.Now()
	b.version++
	if !h.Outage {
		b.known = now
		b.note(answers, now)
		b.forget(names)
		b.describe(p, now)
	}
	b.newest, b.at = b.snapshot(h, now), now
	return b.newest
}

// answer is what the nodes said of a name.
type answer struct {
	info *inspect.Info
	runs *inspect.Runs // nil when they were not read
	err  error
}

// question asks about all these names at once, so that the questions travel
// together and a silent node costs one wait.
func (b *board) question(ctx context.Context, p *Page, names []string) map[string]*answer {
	answers := make(map[string]*answer, len(names))
	var all sync.WaitGroup
	for _, name := range names {
		a := &answer{}
		answers[name] = a
		known := b.entries[name] // changed only by the one whose turn it is
		all.Go(func() {
			if a.info, a.err = p.inspector.Show(ctx, name); a.err == nil && known.outdatedBy(a.info) {
				a.runs, a.err = p.inspector.Runs(ctx, name)
			}
		})
	}
	all.Wait()
	return answers
}

// outdatedBy reports whether there may be runs that were not read.
func (e *entry) outdatedBy(info *inspect.Info) bool {
	if info.LastRun == nil {
		return false
	}
	if e == nil || e.runs == nil || e.info.LastRun == nil || time.Since(e.read) > rereadAfter {
		return true
	}
	resumed := info.Paused == nil && e.info.Paused != nil // the next tick is another
	return resumed || *info.LastRun != *e.info.LastRun || info.Token != e.info.Token
}

// due is what a look asks about: all that is new, and of the rest what runs or
// is due first, then what was asked about the longest ago.
func (b *board) due(names []string, now time.Time, interval time.Duration) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var fresh, others []string
	urgency := map[string]time.Time{}
	for _, name := range names {
		e := b.entries[name]
		if e == nil || now.Sub(e.asked) > 20*interval {
			fresh = append(fresh, name)
			continue
		}
		urgency[name] = e.asked
		if e.urgent(now, interval) {
			urgency[name] = e.asked.Add(-5 * interval)
		}
		others = append(others, name)
	}
	slices.SortStableFunc(others, func(x, y string) int { return urgency[x].Compare(urgency[y]) })
	return append(fresh, others[:min(len(others), maxAsked)]...)
}

func (e *entry) urgent(now time.Time, interval time.Duration) bool {
	next := time.UnixMilli(e.row.Next)
	return e.row.Holder != "" || e.stale || e.row.Next > 0 && next.Before(now.Add(interval)) && next.After(now.Add(-time.Minute))
}

// ask has the next look ask about a name that was changed.
func (b *board) ask(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[name]; e != nil {
		e.asked = time.Time{}
	}
}

func firstError(answers map[string]*answer) error {
	for _, a := range answers {
		if a.err != nil {
			return a.err
		}
	}
	return nil
}

// unanswered reports whether nothing could be learned of any name.
func unanswered(answers map[string]*answer) bool {
	for _, a := range answers {
		if a.err == nil {
			return false
		}
	}
	return len(answers) > 0
}

// note keeps what was known of a name that too few nodes answered for.
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

// forget drops what is not among names, which are sorted.
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

// describe makes the rows anew, and notes which have changed.
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

// nothing reports whether the nodes know nothing of a name: it was listed before it was forgotten or unlocked.
func (e *entry) nothing() bool {
	i := e.info
	return !e.stale && i.Token == "" && i.LastTick.IsZero() && i.LastRun == nil && i.Fence == 0 && i.Paused == nil && i.Waiters == 0
}

// snapshot is what viewers are sent. It does not change any more.
func (b *board) snapshot(h head, now time.Time) *look {
	l := &look{head: h, version: b.version, oldest: b.oldest, gone: maps.Clone(b.gone), encoded: map[int][]byte{}}
	l.head.Now, l.head.Known = now.UnixMilli(), milliseconds(b.known)
	if b.newest == nil || !slices.Equal(b.newest.head.Nodes, h.Nodes) {
		l.nodesVersion = b.version
	} else {
		l.nodesVersion = b.newest.nodesVersion
	}
	for _, name := range slices.Sorted(maps.Keys(b.entries)) {
		if e := b.entries[name]; e.text != nil {
			l.rows = append(l.rows, shown{version: e.version, text: e.text})
		}
	}
	return l
}

// detail is all that is known of a name.
func (b *board) detail(name string) (d detail, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[name]
	if e == nil || e.text == nil {
		return detail{}, false
	}
	return e.detail(), true
}
