package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxOffset is how far a replica's wall clock may be off, either way.
const maxOffset = 800 * time.Millisecond

// fleet holds the nodes and replicas of one round, and a link between each pair.
type fleet struct {
	plan    *plan
	setup   setup // shared by all replicas
	servers []*server
	links   [replicas][nodes]link

	mu       sync.Mutex
	rng      *rand.Rand
	replicas [replicas]*child
	starts   int
	killed   map[string]bool // processes that could not release their locks
	current  [replicas]string
}

func newFleet(dir, locker string, p *plan, seed uint64) (*fleet, error) {
	fl := &fleet{plan: p, rng: rand.New(rand.NewPCG(seed, 1)), killed: map[string]bool{}}
	fl.setup = setup{Process: "conductor", Locker: locker, TTL: p.ttl, Guard: p.forgetful, Dir: dir}
	for i := range nodes {
		s, err := startServer(dir, i, !p.forgetful)
		if s != nil {
			fl.servers = append(fl.servers, s)
			fl.setup.Addrs = append(fl.setup.Addrs, s.addr())
		}
		if err != nil {
			return fl, err
		}
	}
	if p.forgetful && locker == "redtick" {
		if err := bootstrap(context.Background(), fl.setup); err != nil {
			return fl, err
		}
	}
	return fl, fl.connect()
}

func (fl *fleet) connect() (err error) {
	proxies := newProxyServer()
	for r := range replicas {
		for n, s := range fl.servers {
			if fl.links[r][n], err = newLink(proxies, fmt.Sprintf("replica %d, node %d", r, n), s.addr()); err != nil {
				return err
			}
		}
	}
	return nil
}

// start runs replica r as a new process with its own clock offset.
func (fl *fleet) start(r int) (err error) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.starts++
	s := fl.setup
	s.Process = fmt.Sprintf("replica%d-%d", r, fl.starts)
	s.Seed = fl.rng.Uint64()
	// Half of the clocks agree, so that claims collide; the others are off.
	s.Offset = below(fl.rng, 6*time.Millisecond) - 3*time.Millisecond
	if fl.rng.IntN(2) == 0 {
		s.Offset = below(fl.rng, 2*maxOffset) - maxOffset
	}
	s.Addrs = nil
	for _, l := range fl.links[r] {
		s.Addrs = append(s.Addrs, l.addr())
	}
	fl.current[r] = s.Process
	fl.replicas[r], err = startReplica(s)
	return err
}

func (fl *fleet) startAll() error {
	for r := range replicas {
		if err := fl.start(r); err != nil {
			return err
		}
	}
	return nil
}

// leaveAll stops all replicas. unpaid lists the releases that some could not deliver.
func (fl *fleet) leaveAll() (unpaid []string, err error) {
	var says [replicas]string
	var errs [replicas]error
	var all sync.WaitGroup
	for r, c := range fl.replicas {
		all.Go(func() { says[r], errs[r] = leave(c) })
	}
	all.Wait()
	for r, text := range says {
		if text != "" {
			unpaid = append(unpaid, fl.current[r]+": "+text)
		}
	}
	return unpaid, errors.Join(errs[:]...)
}

func (fl *fleet) kill(r int) {
	fl.mu.Lock()
	fl.killed[fl.current[r]] = true
	c := fl.replicas[r]
	fl.mu.Unlock()
	c.kill()
}

// apply begins the fault; undo ends it.
func (fl *fleet) apply(f fault) error {
	return fl.each(f, func(n int) error {
		switch code, refuses := strings.CutPrefix(f.Kind, answers); {
		case refuses:
			return fl.servers[n].refuse(context.Background(), code)
		case f.Kind == nodeStop:
			fl.servers[n].hang()
		default:
			fl.servers[n].child.kill()
		}
		return nil
	}, func(l link) error { return l.poison(f.Kind, f.Latency) }, func(r int) error {
		if f.Kind == replicaKill {
			fl.kill(r)
		} else {
			fl.replicas[r].signal(syscall.SIGSTOP)
		}
		return nil
	})
}

func (fl *fleet) undo(f fault) error {
	return fl.each(f, func(n int) error {
		switch code, refuses := strings.CutPrefix(f.Kind, answers); {
		case refuses:
			return fl.servers[n].obey(context.Background(), code)
		case f.Kind == nodeStop:
			fl.servers[n].resume()
			return nil
		}
		return fl.servers[n].start()
	}, func(l link) error { return l.heal(f.Kind) }, func(r int) error {
		if f.Kind == replicaKill {
			return fl.start(r)
		}
		fl.replicas[r].signal(syscall.SIGCONT)
		return nil
	})
}

// each calls the function for the fault's kind of target, on all of its targets concurrently.
func (fl *fleet) each(f fault, node func(int) error, link func(link) error, replica func(int) error) error {
	var todo []func() error
	switch f.target() {
	case "node":
		for _, n := range f.Nodes {
			todo = append(todo, func() error { return node(n) })
		}
	case "replica":
		for _, r := range f.Replicas {
			todo = append(todo, func() error { return replica(r) })
		}
	default:
		for _, r := range f.Replicas {
			for _, n := range f.Nodes {
				todo = append(todo, func() error { return link(fl.links[r][n]) })
			}
		}
	}
	errs := make([]error, len(todo))
	var all sync.WaitGroup
	for i, do := range todo {
		all.Go(func() { errs[i] = do() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// close stops everything that still runs.
func (fl *fleet) close() {
	for _, c := range fl.replicas {
		if c != nil {
			c.kill()
		}
	}
	for _, s := range fl.servers {
		s.child.kill()
		_ = s.admin.Close()
	}
	for _, all := range fl.links {
		for _, l := range all {
			if l.proxy != nil {
				l.proxy.Stop()
			}
		}
	}
}
