package cronadapter

import (
	"slices"
	"sync"
	"weak"

	"github.com/robfig/cron/v3"
)

// listing finds the entries of jobs. A cron can only be asked for all of its
// entries, so runs that begin together share one answer: else n jobs would cost n
// times n.
type listing struct {
	busy chan struct{} // held by one who lists; not a mutex, on which a bubble's time would stand still

	mu      sync.Mutex
	crons   []weak.Pointer[cron.Cron] // a program may make a new one for each reload
	pending *answer                   // has not begun, so a run that fires now may join it
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

// find looks for an entry as it is after the caller was fired. cron fires a job
// before it notes the tick, but it answers on the goroutine that does both, so
// afterwards.
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
			if r := runnerOf(e); r != nil {
				a.entries[r] = found{e, c}
			}
		}
	}
	close(a.done)
}

// runnerOf is what runs an entry's job, or nil when that is not an adapter's.
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
