package dashboard

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// share is how much of the time may go into scanning the nodes' databases.
	share = 20
	// afterError keeps nodes that refuse a scan, or are silent, from being asked at each look.
	afterError = 5 * time.Second
)

// roster is the names there are. Jobs are found much faster than locks, whose
// keys look like anybody's.
type roster struct {
	jobs, all listing
}

// names waits for the scans under way, but not longer than patience.
func (r *roster) names(ctx context.Context, p *Page, patience time.Duration) (names []string, more, complete bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	complete = true
	for _, l := range []*listing{&r.jobs, &r.all} {
		if !complete {
			break // the first scan for jobs has the nodes to itself
		}
		l.begin(ctx, p)
		listed, others, known, failed := l.await(bounded)
		names = append(names, listed...)
		more, complete = more || others, complete && known
		if err == nil {
			err = failed
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if more = more || len(names) > maxNames; len(names) > maxNames {
		names = names[:maxNames]
	}
	return names, more, complete, err
}

// listing is what one way of scanning finds. A scan goes on beside the looks.
type listing struct {
	find func(ctx context.Context, prefix string, limit int) ([]string, bool, error)

	mu    sync.Mutex
	names []string
	more  bool
	known bool // a scan came to its end
	err   error
	next  time.Time
	over  chan struct{} // closed at the end of the newest scan
}

// begin starts a scan unless one is under way or it is too early.
func (l *listing) begin(ctx context.Context, p *Page) {
	l.mu.Lock()
	defer l.mu.Unlock()
	begin := time.Now()
	if begin.Before(l.next) {
		return
	}
	select {
	case <-l.over:
	default:
		if l.over != nil {
			return
		}
	}
	over := make(chan struct{})
	l.over = over
	go func() {
		defer close(over)
		names, more, err := l.find(ctx, p.names, maxNames)
		l.end(ctx, begin, names, more, err)
	}()
}

// end keeps the names that were known when a scan has failed.
func (l *listing) end(ctx context.Context, begin time.Time, names []string, more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
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
		l.next = end.Add(afterError) // it got nowhere, and the nodes may be well again soon
	}
	all := slices.Concat(l.names, names)
	slices.Sort(all)
	l.names = slices.Compact(all)
}

func (l *listing) await(ctx context.Context) (names []string, more, known bool, err error) {
	l.mu.Lock()
	over := l.over
	l.mu.Unlock()
	if over != nil {
		select {
		case <-over:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.names, l.more, l.known, l.err
}
