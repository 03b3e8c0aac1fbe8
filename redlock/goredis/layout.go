package goredis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// reloadEvery is the pause between two reloads after a failure.
	reloadEvery = 250 * time.Millisecond
	// reloadFor is how long reloads go on after a failure.
	reloadFor = time.Second
	// reloadLimit bounds the reloads in flight: each may hang on a dead server.
	reloadLimit = 8
)

// layout keeps a Cluster client's map of slots up to date. go-redis reloads it
// every minute and after a redirect, but not when a server fails: a dead master's
// slots would be unavailable for up to a minute after its replica took over.
type layout struct {
	cluster cluster // nil without a Cluster

	mu      sync.Mutex
	until   time.Time
	running bool
	reloads int // in flight
}

// reload makes the client reload its layout now and for the next second. It does
// not wait.
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
		if l.reloads < reloadLimit {
			l.reloads++
			go l.reloadOnce()
		}
		l.mu.Unlock()
		time.Sleep(reloadEvery)
	}
}

// reloadOnce uses ForEachMaster, which loads the layout first. ReloadState runs
// only once at a time and asks a random server: if that one hangs, so does every
// reload for the client's ReadTimeout.
func (l *layout) reloadOnce() {
	_ = l.cluster.ForEachMaster(context.Background(), func(context.Context, *redis.Client) error { return nil })
	l.mu.Lock()
	l.reloads--
	l.mu.Unlock()
}
