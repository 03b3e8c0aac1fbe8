package dashboard

import (
	"context"
	"sync"
	"time"
)

// watch polls the nodes once for all viewers, and only while there are any.
type watch struct {
	mu      sync.Mutex
	viewers int
	stop    context.CancelFunc
	newest  *look         // nil without viewers, and until the first look
	next    chan struct{} // closed by the next look
}

// join adds a viewer.
func (w *watch) join(p *Page) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.viewers++; w.viewers == 1 {
		ctx, stop := context.WithCancel(context.Background())
		w.stop, w.next = stop, make(chan struct{})
		go w.run(ctx, p)
	}
}

func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.viewers--; w.viewers == 0 {
		w.stop()
		w.newest = nil
	}
}

func (w *watch) run(ctx context.Context, p *Page) {
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		w.tell(ctx, p.board.look(ctx, p))
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
	close(w.next)
	w.next = make(chan struct{})
}

// look returns the newest look, if there is one, and a channel that the next one closes.
func (w *watch) look() (newest *look, next <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest, w.next
}
