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
	busy sync.Mutex // held while listing

	mu      sync.Mutex
	crons   []weak.Pointer[cron.Cron] // weak: a program may make a new one for each reload
	pending func() map[*runner]found  // not begun, so a run that fires now may share it
}

type found struct {
	cron.Entry
	cron *cron.Cron
}

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
	if l.pending == nil {
		l.pending = sync.OnceValue(l.list)
	}
	list := l.pending
	l.mu.Unlock()
	entry, ok := list()[r]
	return entry, ok
}

func (l *listing) list() map[*runner]found {
	l.busy.Lock()
	defer l.busy.Unlock()
	l.mu.Lock()
	l.pending = nil
	crons := slices.Clone(l.crons)
	l.mu.Unlock()
	entries := make(map[*runner]found)
	for _, attached := range crons {
		if c := attached.Value(); c != nil {
			for _, e := range c.Entries() {
				if r := runnerOf(e); r != nil && !e.Prev.Before(entries[r].Prev) { // of several entries, the one that has just fired
					entries[r] = found{e, c}
				}
			}
		}
	}
	return entries
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
