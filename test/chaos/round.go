package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	calmTime = 5 * time.Second
	// roundTime is roughly how long a round takes.
	roundTime = warmUp + mildTime + wildTime + calmTime + 4*time.Second
)

// round is one run of the plan of a seed, on new nodes.
type round struct {
	seed   uint64
	locker string
	ttl    time.Duration
	dir    string
	fleet  *fleet
	log    *recorder
	past   history
}

// play runs the round: faults, then all replicas leave, and no locks may be left on the
// nodes; then a calm part, in which everything must work, and all leave again.
func (r *round) play() (err error) {
	if r.dir, err = os.MkdirTemp("", "redtick-chaos-"); err != nil {
		return err
	}
	if r.log, err = newRecorder(r.dir, "conductor"); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go watchStalls(ctx, r.log)
	p := newPlan(r.seed, r.ttl)
	r.fleet, err = newFleet(r.dir, r.locker, p, r.seed)
	defer r.fleet.close()
	if err != nil {
		return err
	}
	r.past = history{ttl: r.ttl, killed: r.fleet.killed, clock: time.Now(), start: now()}
	if err := r.faults(); err != nil {
		return err
	}
	if err := r.calm(); err != nil {
		return err
	}
	r.past.events, err = readHistories(r.dir)
	return err
}

func (r *round) faults() (err error) {
	if err := r.fleet.startAll(); err != nil {
		return err
	}
	n := nemesis{fleet: r.fleet}
	if r.past.faults, err = n.play(); err != nil {
		return fmt.Errorf("the nemesis failed: %w", err)
	}
	last := fault{Kind: answers + "NOREPLICAS", Nodes: r.fleet.plan.weak}
	if err := r.fleet.apply(last); err != nil {
		return err
	}
	ended := make(chan error, 1)
	time.AfterFunc(lastRefusal, func() { ended <- r.fleet.undo(last) })
	return errors.Join(r.rest(), <-ended)
}

// lastRefusal is how long a minority refuses releases while the replicas leave, so
// that a dropped release leaves a key.
const lastRefusal = 300 * time.Millisecond

func (r *round) calm() error {
	if err := r.fleet.startAll(); err != nil {
		return err
	}
	r.past.calm = now()
	time.Sleep(calmTime)
	return r.rest()
}

// rest makes all replicas leave and checks the keys that remain. For ticks, this counts
// as a fault of the replicas.
func (r *round) rest() error {
	gone := happened{fault: fault{Kind: "replica leaves", Replicas: upTo(replicas)}, from: now()}
	unpaid, err := r.fleet.leaveAll()
	if err != nil {
		return err
	}
	r.past.unpaid = append(r.past.unpaid, unpaid...)
	for _, s := range r.fleet.servers {
		keys, err := s.keys(context.Background())
		if err != nil {
			return err
		}
		r.past.keys = append(r.past.keys, keys...)
	}
	gone.to = now().add(warmUp)
	r.past.rests = append(r.past.rests, gone)
	return nil
}

// replay returns the command that repeats this round.
func (r *round) replay() string {
	return fmt.Sprintf("go run . -locker=%s -ttl=%v -seed=%d -for=1s", r.locker, r.ttl, r.seed)
}
