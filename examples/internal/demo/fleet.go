package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// startFleet starts the replicas, waits until all schedules have started, and sets the
// first tick that counts to one that all replicas will see.
func (s *show) startFleet(ctx context.Context) error {
	for i, skew := range s.opts.skews {
		name := string(rune('A' + i))
		p, err := startProcess(identity{Name: name, Skew: skew, Addrs: s.redis.Addrs, Prefix: s.prefix, Counts: s.counts}, s.events)
		if err != nil {
			return err
		}
		s.fleet = append(s.fleet, p)
		s.board.columns = append(s.board.columns, name)
	}
	limit := time.After(readyLimit)
	for s.ready < len(s.fleet) {
		select {
		case e := <-s.events:
			if s.take(e); e.Kind == gone {
				return fmt.Errorf("replica %s did not start: %s", e.Replica, e.Text)
			}
		case <-limit:
			return fmt.Errorf("%d of %d replicas were ready after %v", s.ready, len(s.fleet), readyLimit)
		case <-ctx.Done():
			return errors.New("stopped before all replicas were ready")
		}
	}
	s.first = s.demo.Jobs[0].at(time.Now().Add(s.opts.ahead() + headStart))
	for i, job := range s.demo.Jobs {
		s.next[i] = job.at(s.first)
	}
	return nil
}

// stopFleet asks all replicas to stop, waits, and kills those that do not. It may be
// called again.
func (s *show) stopFleet() {
	s.stopping = true
	for _, p := range s.fleet {
		p.stop()
	}
	// A replica enforces stopLimit itself; leave it time to say so.
	deadline := time.After(stopLimit + time.Second)
	for len(s.living()) > 0 {
		select {
		case e := <-s.events:
			s.take(e)
		case <-deadline:
			for _, name := range s.living() {
				s.fail("%s was killed: it did not stop", name)
				s.process(name).kill()
			}
		}
	}
}

// bury notes that a process has ended. It is a failure unless the process was killed or
// asked to stop.
func (s *show) bury(p *process, how string) {
	expected := p.fate != "" || s.stopping && how == exitedWell
	p.alive, p.running = false, 0
	if p.fate == "" {
		p.fate = "ended"
	}
	s.board.dead[p.Name] = p.fate
	if !expected {
		s.fail("replica %s ended: %s", p.Name, how)
	}
}

func (s *show) process(name string) *process {
	for _, p := range s.fleet {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// living returns the names of the running replicas.
func (s *show) living() []string {
	var names []string
	for _, p := range s.fleet {
		if p.alive {
			names = append(names, p.Name)
		}
	}
	return names
}
