package dashboard

import (
	"context"
	"sync"
	"time"
)

// watch asks the nodes for all viewers together, and only while there are some.
type watch struct {
	mu      sync.Mutex
	viewers map[chan struct{}]struct{}
	newest  *look // nil when nobody looks
	stop    context.CancelFunc
}

// join adds a viewer, who is told of every look, or of the newest if it is slow.
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
		return // all have left during the look; who is here now has a look of their own
	}
	w.newest = l
	for viewer := range w.viewers {
		select {
		case viewer <- struct{}{}:
		default: // it has not read the look before
		}
	}
}

// look is the newest look. A viewer that was told has one.
func (w *watch) look() *look {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest
}
