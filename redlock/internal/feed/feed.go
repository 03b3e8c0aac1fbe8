// Package feed passes items to a function that may be slow, without blocking the
// senders.
package feed

import "sync"

// backlog is how many items may wait.
const backlog = 1024

// Feed calls a function with items, one at a time and in order, on a goroutine that
// runs only while there are any. When 1024 items wait, new ones are dropped, and the
// next call says how many. A Feed is safe for concurrent use.
type Feed[T any] struct {
	// Handle is the function. It must be set before the first Push, and must not panic. missed is how many items were
	// dropped before item.
	Handle func(item T, missed int)

	mu     sync.Mutex
	queue  []entry[T]
	missed int
	idle   chan struct{} // closed once no item is left; nil if there is none
}

type entry[T any] struct {
	item   T
	missed int // dropped before item
}

// Push queues an item, or drops it if too many wait. It does not block.
func (f *Feed[T]) Push(item T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) >= backlog {
		f.missed++
		return
	}
	f.queue = append(f.queue, entry[T]{item, f.missed})
	f.missed = 0
	if f.idle == nil {
		f.idle = make(chan struct{})
		go f.drain()
	}
}

func (f *Feed[T]) drain() {
	ended := false
	defer func() {
		if !ended { // Handle called runtime.Goexit; go on with the other items
			go f.drain()
		}
	}()
	for {
		f.mu.Lock()
		if len(f.queue) == 0 {
			ended = true
			close(f.idle)
			f.idle = nil
			f.mu.Unlock()
			return
		}
		e := f.queue[0]
		f.queue[0] = entry[T]{} // let the item be collected
		f.queue = f.queue[1:]
		f.mu.Unlock()
		f.Handle(e.item, e.missed)
	}
}

// Drained returns a channel that is closed once all items have been handled.
func (f *Feed[T]) Drained() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.idle != nil {
		return f.idle
	}
	none := make(chan struct{})
	close(none)
	return none
}
