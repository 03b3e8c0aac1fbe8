package dashboard

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// share is the inverse of the fraction of time that may be spent on scanning.
	share = 20
	// afterError is the least pause after a scan that failed at once, so that nodes that refuse it or are silent
	// are not asked in each look.
	afterError = 5 * time.Second
)

// roster finds the names. Jobs are found much faster than locks, whose keys cannot
// be told from other data by their names.
type roster struct {
	jobs, all listing
}

// names starts the scans that are due and waits for them, up to half the interval.
func (r *roster) names(ctx context.Context, p *Page) (names []string, more, complete bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, p.interval/2)
	defer cancel()
	complete = true
	for _, l := range []*listing{&r.jobs, &r.all} {
		if !complete {
			break // the first scan for jobs has the nodes to itself
		}
		listed, others, known, failed := l.list(ctx, bounded, p)
		names = append(names, listed...)
		more, complete = more || others, complete && known
		err = cmp.Or(err, failed)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if more = more || len(names) > maxNames; len(names) > maxNames {
		names = names[:maxNames]
	}
	return names, more, complete, err
}

// listing is the result of one kind of scan. A scan may last for several looks.
type listing struct {
	find func(ctx context.Context, prefix string, limit int) ([]string, bool, error)

	mu    sync.Mutex
	names []string
	more  bool
	known bool // a scan has succeeded
	err   error
	next  time.Time     // when the next scan may begin
	over  chan struct{} // closed at the end of the scan; nil if none is running
}

// list starts a scan unless one is running or it is too early, and waits for the running one until bounded ends.
func (l *listing) list(ctx, bounded context.Context, p *Page) (names []string, more, known bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if begin := time.Now(); l.over == nil && !begin.Before(l.next) {
		l.over = make(chan struct{})
		go func() {
			names, more, err := l.find(ctx, p.names, maxNames)
			l.end(ctx, begin, names, more, err)
		}()
	}
	if over := l.over; over != nil {
		l.mu.Unlock()
		select {
		case <-over:
		case <-bounded.Done():
		}
		l.mu.Lock()
	}
	return l.names, l.more, l.known, l.err
}

// end stores the result of a scan. After a failed one it keeps the known names as well.
func (l *listing) end(ctx context.Context, begin time.Time, names []string, more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.over)
	l.over = nil
	if ctx.Err() != nil {
		return
	}
	end := time.Now()
	l.err, l.next = err, end.Add(end.Sub(begin)*(share-1))
	if err == nil {
		l.names, l.more, l.known = names, more, true
		return
	}
	if end.Sub(begin) < afterError {
		l.next = end.Add(afterError)
	}
	all := slices.Concat(l.names, names)
	slices.Sort(all)
	l.names = slices.Compact(all)
}
