package dashboard

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// watch asks the nodes for all viewers together, and only while there are some.
type watch struct {
	mu      sync.Mutex
	viewers map[chan []byte]struct{}
	newest  []byte // nil when nobody looks
	stop    context.CancelFunc
}

// join adds a viewer, who gets every look, or the newest if it is slow.
func (w *watch) join(p *Page) (looks <-chan []byte, leave func()) {
	viewer := make(chan []byte, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.viewers == nil {
		w.viewers = map[chan []byte]struct{}{}
	}
	w.viewers[viewer] = struct{}{}
	if len(w.viewers) == 1 {
		ctx, stop := context.WithCancel(context.Background())
		w.stop = stop
		go w.run(ctx, p)
	}
	if w.newest != nil {
		viewer <- w.newest
	}
	return viewer, func() { w.leave(viewer) }
}

func (w *watch) leave(viewer chan []byte) {
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
		if text, err := json.Marshal(p.look(ctx)); err == nil {
			w.tell(ctx, text)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watch) tell(ctx context.Context, text []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return // all have left during the look; who is here now has a look of their own
	}
	w.newest = text
	for viewer := range w.viewers {
		select {
		case <-viewer: // it has not read the look before
		default:
		}
		viewer <- text
	}
}
