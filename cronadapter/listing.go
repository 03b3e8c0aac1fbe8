package cronadapter

import (
	"slices"
	"sync"
	"weak"

	"github.com/robfig/cron/v3"
)

// listing finds the entries of jobs. A cron can only list all of its entries, so
// runs that begin together share one listing: otherwise n jobs would cost n².
type listing struct {
	busy chan struct{} // held while listing; not a mutex, as blocking on one stops the time in a synctest bubble

	mu      sync.Mutex
	crons   []weak.Pointer[cron.Cron] // weak: a program may make a new one for each reload
	pending *answer                   // not begun, so a run that fires now may share it
}

type answer struct {
	done    chan struct{}
	entries map[*runner]found
}

type found struct {
	cron.Entry
	cron *cron.Cron
}

func newListing() *listing { return &listing{busy: make(chan struct{}, 1)} }

func (l *listing) attach(c *cron.Cron) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.crons = slices.DeleteFunc(l.crons, func(old weak.Pointer[cron.Cron]) bool { return old.Value() == nil || old.Value() == c })
	l.crons = append(l.crons, weak.Make(c))
}

// find returns the entry as it is after the caller was fired. cron fires a job before
// it updates the entry, but the goroutine that does both also lists the entries, so
// the listing comes later.
func (l *listing) find(r *runner) (found, bool) {
	l.mu.Lock()
	a := l.pending
	first := a == nil
	if first {
		a = &answer{done: make(chan struct{})}
		l.pending = a
	}
	l.mu.Unlock()
	if first {
		l.busy <- struct{}{}
		l.answer(a)
		<-l.busy
	}
	<-a.done
	entry, ok := a.entries[r]
	return entry, ok
}

func (l *listing) answer(a *answer) {
	l.mu.Lock()
	l.pending = nil
	crons := slices.Clone(l.crons)
	l.mu.Unlock()
	a.entries = make(map[*runner]found)
	for _, attached := range crons {
		c := attached.Value()
		if c == nil {
			continue
		}
		for _, e := range c.Entries() {
			if r := runnerOf(e); r != nil && !e.Prev.Before(a.entries[r].Prev) { // of several entries, the one that has just fired
				a.entries[r] = found{e, c}
			}
		}
	}
	close(a.done)
}

// runnerOf returns the runner of an entry's job, or nil if no adapter made the job.
func runnerOf(e cron.Entry) *runner {
	for _, part := range []any{e.Job, e.WrappedJob, e.Schedule} {
		switch p := part.(type) {
		case *Job:
			return p.runner
		case *wrapped:
			return p.runner
		}
	}
	return nil
}
