package main

import (
	"errors"
	"sync"
	"time"
)

// happened is a fault with the time during which it could have an effect.
type happened struct {
	fault
	from, to instant
}

// nemesis executes the plan. Faults on one kind of target are sequential.
type nemesis struct {
	fleet *fleet
	start instant

	mu   sync.Mutex
	done []happened
	errs []error
}

func (n *nemesis) play() ([]happened, error) {
	n.start = now()
	lanes := map[string][]fault{}
	for _, f := range n.fleet.plan.faults {
		lanes[f.target()] = append(lanes[f.target()], f)
	}
	var all sync.WaitGroup
	for _, faults := range lanes {
		all.Go(func() {
			for _, f := range faults {
				n.inflict(f)
			}
		})
	}
	all.Wait()
	return n.done, errors.Join(n.errs...)
}

func (n *nemesis) inflict(f fault) {
	time.Sleep(f.At - now().since(n.start))
	h := happened{fault: f, from: now()}
	err := n.fleet.apply(f)
	time.Sleep(f.For)
	err = errors.Join(err, n.fleet.undo(f))
	h.to = now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done = append(n.done, h)
	if err != nil {
		n.errs = append(n.errs, err)
	}
}
