// Package feed hands items to a function that may be slow, without holding up
// those who report them.
package feed

import "sync"

// backlog is how many items may wait to be told.
const backlog = 1024

// Feed tells a function about items, one at a time and in order, on a goroutine
// of its own that runs only while there are some. When the function falls too far
// behind, the newest items are thrown away, and the next one says how many. A
// Feed is safe for concurrent use.
type Feed[T any] struct {
	// Tell is the function, set before the first Push. missed items were thrown away before item. It must not panic.
	Tell func(item T, missed int)

	mu     sync.Mutex
	queue  []entry[T]
	missed int
	busy   bool
	idle   chan struct{} // closed once nothing is left to tell; nil when nobody waits for that
}

type entry[T any] struct {
	item   T
	missed int // thrown away before it
}

// Push queues an item. It never blocks.
func (f *Feed[T]) Push(item T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) >= backlog {
		f.missed++
		return
	}
	f.queue = append(f.queue, entry[T]{item, f.missed})
	f.missed = 0
	if !f.busy {
		f.busy = true
		go f.drain()
	}
}

func (f *Feed[T]) drain() {
	ended := false
	defer func() {
		if !ended { // the function called runtime.Goexit; it must get the other items all the same
			go f.drain()
		}
	}()
	for {
		f.mu.Lock()
		if len(f.queue) == 0 {
			f.busy, ended = false, true
			f.signalIdle()
			f.mu.Unlock()
			return
		}
		e := f.queue[0]
		f.queue[0] = entry[T]{} // what was told is garbage
		f.queue = f.queue[1:]
		f.mu.Unlock()
		f.Tell(e.item, e.missed)
	}
}

// Told returns a channel that is closed once everything was told.
func (f *Feed[T]) Told() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.idle == nil {
		f.idle = make(chan struct{})
	}
	idle := f.idle
	f.signalIdle()
	return idle
}

// signalIdle wakes those who wait in Told when nothing is left. The caller holds mu.
func (f *Feed[T]) signalIdle() {
	if f.idle != nil && !f.busy {
		close(f.idle)
		f.idle = nil
	}
}
