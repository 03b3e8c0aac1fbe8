package exchange

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

// tenureEvery is how often a demotion may end subscriptions. A host name may move to the new primary long after the old one was
// demoted, and until then a new subscription leads to the old one again.
const tenureEvery = 10 * time.Second

var errDemoted = errors.New("the subscription's server was demoted")

// Tenure ends a node's subscriptions once its server was demoted. They would stay with the old server, while the new primary counts
// no listener and takes its waiters for dead. The zero value is ready to use.
type Tenure struct {
	demoted atomic.Bool // and subscriptions have not been ended since

	mu     sync.Mutex
	ended  time.Time // when subscriptions were last ended
	term   context.Context
	finish context.CancelFunc // ends term; nil if there was no subscription since
}

// Bound returns a context for a subscription. It ends with ctx, or with a cause of its own when the server was demoted.
func (t *Tenure) Bound(ctx context.Context) (bound context.Context, stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finish == nil {
		t.term, t.finish = context.WithCancel(context.Background())
	}
	bound, end := context.WithCancelCause(ctx)
	leave := context.AfterFunc(t.term, func() { end(errDemoted) })
	return bound, func() {
		leave()
		end(nil)
	}
}

// Note looks for a demotion in the replies of a Do.
func (t *Tenure) Note(replies []driver.Reply) {
	if Demoted(replies...) {
		t.demoted.Store(true)
	}
	if !t.demoted.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.ended) >= tenureEvery {
		t.ended = now
		t.demoted.Store(false)
		if t.finish != nil {
			t.finish()
			t.finish = nil
		}
	}
}
