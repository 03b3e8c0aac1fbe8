package dashboard

import (
	"context"
	"sync"
	"time"
)

// watch polls the nodes once for all viewers, and only while there are any.
type watch struct {
	mu      sync.Mutex
	viewers map[chan struct{}]struct{}
	newest  *look // nil without viewers
	stop    context.CancelFunc
}

// join adds a viewer. news signals each new look; a slow viewer misses all but the
// newest.
func (w *watch) join(p *Page) (news <-chan struct{}, leave func()) {
	viewer := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.viewers == nil {
		w.viewers = map[chan struct{}]struct{}{}
	}
	w.viewers[viewer] = struct{}{}
	if len(w.viewers) == 1 {
		ctx, stop := context.WithCancel(context.Background())
		w.stop = stop
		go w.run(ctx, p)
	}
	if w.newest != nil {
		viewer <- struct{}{}
	}
	return viewer, func() { w.leave(viewer) }
}

func (w *watch) leave(viewer chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.viewers, viewer)
	if len(w.viewers) == 0 {
		w.stop()
		w.newest = nil
	}
}

func (w *watch) run(ctx context.Context, p *Page) {
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		w.tell(ctx, p.board.look(ctx, p, true))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watch) tell(ctx context.Context, l *look) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return // all viewers left during the look; newer ones have their own run
	}
	w.newest = l
	for viewer := range w.viewers {
		select {
		case viewer <- struct{}{}:
		default: // its last signal is still pending
		}
	}
}

// look returns the newest look. It is not nil for a viewer that was signaled.
func (w *watch) look() *look {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest
}
