package goredis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// reloadEvery is the pause between two looks at a Cluster that fails.
	reloadEvery = 250 * time.Millisecond
	// reloadFor is how long a failure makes the driver look.
	reloadFor = time.Second
	// reloadLimit bounds how many looks may hang, each on a server that does.
	reloadLimit = 8
)

// layout keeps a Cluster client's idea of who owns which slot fresh. go-redis
// reloads it every minute and when a server redirects it, but not when a server
// is gone; so a dead master's slots would stay lost for up to a minute after its
// replica has taken over.
type layout struct {
	cluster cluster // nil without a Cluster

	mu      sync.Mutex
	until   time.Time
	running bool
	looks   int
}

// reload makes the client look now, and for a second to come. It does not wait.
func (l *layout) reload() {
	if l.cluster == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(reloadFor)
	if !l.running {
		l.running = true
		go l.run()
	}
}

func (l *layout) run() {
	for {
		l.mu.Lock()
		if time.Now().After(l.until) {
			l.running = false
			l.mu.Unlock()
			return
		}
		if l.looks < reloadLimit {
			l.looks++
			go l.look()
		}
		l.mu.Unlock()
		time.Sleep(reloadEvery)
	}
}

// look does not use ReloadState, of which only one runs at a time. It asks a
// random server first, and when that one hangs, so do all reloads for as long
// as the client's ReadTimeout.
func (l *layout) look() {
	_ = l.cluster.ForEachMaster(context.Background(), func(context.Context, *redis.Client) error { return nil })
	l.mu.Lock()
	l.looks--
	l.mu.Unlock()
}
