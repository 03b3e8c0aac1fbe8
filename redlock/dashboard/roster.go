package dashboard

import (
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

// names starts the scans that are due and waits for them, up to patience.
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

// listing is the result of one kind of scan. A scan may last for several looks.
type listing struct {
	find func(ctx context.Context, prefix string, limit int) ([]string, bool, error)

	mu    sync.Mutex
	names []string
	more  bool
	known bool // a scan has succeeded
	err   error
	next  time.Time     // when the next scan may begin
	over  chan struct{} // closed at the end of the newest scan
}

// begin starts a scan unless one is running or it is too early.
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

// end stores the result of a scan. After a failed one it keeps the known names as well.
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
		l.next = end.Add(afterError)
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
