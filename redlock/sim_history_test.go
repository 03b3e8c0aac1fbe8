package redlock_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
)

// history is what happened, as the replicas saw it and at simulated times.
type history struct {
	mu         sync.Mutex
	events     []event
	grants     []*grant
	refusals   []refusal
	violations []string
	electors   electors
	pauses     []pauseSpan
}

type event struct {
	at   time.Duration
	who  int
	what string
}

// grant is one lease, from when the caller had it to when its context ended.
type grant struct {
	who   int
	op    string
	tick  int64
	owner string // of a claim: its token, unless the claimer named one
	lease *redlock.Lease

	asked time.Duration // when the call of a claim began
	at    time.Duration
	over  bool
	end   time.Duration
	until time.Duration // ValidUntil when the context ended

	unlocked   bool // Unlock returned
	returned   bool // and confirmed it
	returnedAt time.Duration
}

func (g *grant) String() string {
	return fmt.Sprintf("r%d %s tick %d fence %d from %v to %v, %s", g.who, g.op, g.tick, g.fence(), g.at, g.end, g.owner)
}

func (g *grant) fence() int64 {
	if g.lease == nil {
		return 0
	}
	return g.lease.Fence()
}

type refusal struct {
	who  int
	op   string
	tick int64

	asked, at time.Duration
	err       error
}

func (w *world) now() time.Duration { return time.Since(w.start) }

func (w *world) record(who int, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, event{w.now(), who, fmt.Sprintf(format, args...)})
}

func (w *world) violate(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, fmt.Sprintf(format, args...))
}

func (w *world) granted(r *replica, op, owner string, lease *redlock.Lease) *grant {
	if owner == "" {
		owner = lease.Token()
	}
	g := &grant{who: r.id, op: op, owner: owner, lease: lease, at: w.now()}
	if !lease.Tick().IsZero() {
		g.tick = lease.Tick().UnixMilli()
	}
	w.record(r.id, "%s granted: tick %d, %s, fence %d, valid for %v", op, g.tick, lease.Token(), lease.Fence(), time.Until(lease.ValidUntil()))
	if !time.Now().Before(lease.ValidUntil()) {
		w.violate("G1: %s by r%d at %v was granted after its validity had ended", op, r.id, g.at)
	}
	w.mu.Lock()
	w.grants = append(w.grants, g)
	w.mu.Unlock()
	context.AfterFunc(lease.Context(), func() { w.ended(g, lease.Context()) })
	return g
}

func (w *world) ended(g *grant, ctx context.Context) {
	w.record(g.who, "context of %s tick %d ended: %v", g.op, g.tick, reason(context.Cause(ctx)))
	w.mu.Lock()
	defer w.mu.Unlock()
	g.over, g.end = true, w.now()
	if g.lease != nil {
		g.until = g.lease.ValidUntil().Sub(w.start)
	}
}

func (w *world) released(g *grant, err error) {
	w.record(g.who, "unlock of tick %d: %v", g.tick, reason(err))
	w.mu.Lock()
	defer w.mu.Unlock()
	g.unlocked, g.returned, g.returnedAt = true, err == nil, w.now()
}

func (w *world) refused(r *replica, op string, tick int64, asked time.Duration, err error) {
	w.record(r.id, "%s tick %d refused: %v", op, tick, reason(err))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusals = append(w.refusals, refusal{r.id, op, tick, asked, w.now(), err})
}

// leads notes a term. Its lease is the elector's own.
func (w *world) leads(r *replica, term context.Context) *grant {
	g := &grant{who: r.id, op: "lead", owner: fmt.Sprintf("r%d", r.id), at: w.now()}
	w.record(r.id, "leads")
	w.mu.Lock()
	w.grants = append(w.grants, g)
	w.mu.Unlock()
	context.AfterFunc(term, func() { w.ended(g, term) })
	for _, other := range w.electors.leading() {
		if other != r.id {
			w.violate("G1: r%d is called to lead at %v, but r%d says that it is the leader", r.id, w.now(), other)
		}
	}
	return g
}

func (w *world) steppedDown(g *grant) { w.record(g.who, "steps down") }

// electors lets everybody be asked at any time.
type electors struct {
	mu  sync.Mutex
	all map[int]*redlock.Elector
}

func (e *electors) add(id int, one *redlock.Elector) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[int]*redlock.Elector{}
	}
	e.all[id] = one
}

func (e *electors) leading() (ids []int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, one := range e.all {
		if one.IsLeader(context.Background()) == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

var outcomes = []error{
	redlock.ErrTaken, redlock.ErrTickDone, redlock.ErrTickStale, redlock.ErrClockSkew, redlock.ErrPaused, redlock.ErrNoQuorum, redlock.ErrLost,
	context.Canceled, context.DeadlineExceeded,
}

// reason is the outcome that an error matches, or the error.
func reason(err error) error {
	for _, o := range outcomes {
		if errors.Is(err, o) {
			return o
		}
	}
	return err
}

// sorted lists the events by time; what happened at one instant has no order.
func (h *history) sorted() []event {
	events := slices.Clone(h.events)
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.who, b.who), cmp.Compare(a.what, b.what))
	})
	return events
}

func (h *history) String() string {
	var b strings.Builder
	for _, e := range h.sorted() {
		who := "     "
		if e.who >= 0 {
			who = fmt.Sprintf("r%-4d", e.who)
		}
		fmt.Fprintf(&b, "%14v %s %s\n", e.at, who, e.what)
	}
	return b.String()
}

func (h *history) sum() uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(h.String()))
	return sum.Sum64()
}
