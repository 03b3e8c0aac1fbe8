package inspect

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Pause keeps a job's ticks from being claimed.
type Pause struct {
	// By is who paused it, up to 256 bytes, and Why the reason, up to 1024.
	By, Why string
	// For is how long it is to last, or does from now on; 0 for until [Inspector.Resume].
	For time.Duration
}

const maxBy, maxWhy = 256, 1024

// Pause pauses a job for the whole fleet, in place of a pause it may have: once
// it has returned nil, a claim that begins is refused with [redlock.ErrPaused]
// until the pause is over. Ticks that come meanwhile are skipped. Runs that are
// under way go on, and so do mutexes and electors of the name. For is measured by
// the nodes' clocks.
//
// It waits for every node, and returns nil when a majority has the pause. When
// the error matches [redlock.ErrNoQuorum], some nodes may have it: repeat it, or
// call Resume.
func (i *Inspector) Pause(ctx context.Context, name string, p Pause) error {
	switch {
	case len(p.By) > maxBy || len(p.Why) > maxWhy:
		return fmt.Errorf("%w: a pause's By has %d bytes and its Why %d, must have at most %d and %d", redlock.ErrInvalid, len(p.By), len(p.Why), maxBy, maxWhy)
	case p.For < 0 || p.For > 0 && p.For < time.Millisecond:
		return fmt.Errorf("%w: a pause is for %v, must be at least 1ms, or 0 for one without end", redlock.ErrInvalid, p.For)
	}
	command := driver.Command{"SET", protocol.KeysOf(i.prefix + name).Pause, protocol.EncodePause(p.By, p.Why)}
	if p.For > 0 {
		command = append(command, "PX", strconv.FormatInt(p.For.Milliseconds(), 10))
	}
	return i.outcome(ctx, i.execute(ctx, "pause", name, command))
}

// Resume ends a job's pause, if it has one. It waits for every node. The error
// matches [ErrSomeNodes] when a majority has resumed the job but the others, which
// it lists, could not be told: they refuse the job their votes until the pause
// ends by itself, so repeat Resume when they answer.
func (i *Inspector) Resume(ctx context.Context, name string) error {
	return i.everywhere(ctx, i.execute(ctx, "resume", name, driver.Command{"DEL", protocol.KeysOf(i.prefix + name).Pause}))
}

// execute has every node execute a command, and returns an error with those that have not.
func (i *Inspector) execute(ctx context.Context, op, name string, command driver.Command) *redlock.Error {
	failed := &redlock.Error{Op: op, Name: name, Reason: redlock.ErrNoQuorum}
	for n, r := range i.askAll(ctx, command) {
		if !pipeline.Executed(r[0]) {
			failed.Nodes = append(failed.Nodes, &redlock.NodeError{Node: i.group.Pipelines[n].Name(), Err: r[0].Err})
		}
	}
	return failed
}

// pauses are what the nodes say of one job's.
type pauses struct {
	Pause
	nodes   int
	endless bool
}

// add counts a node's pause and its lifetime.
func (p *pauses) add(text, lifetime driver.Reply) {
	value, paused := text.Value.(string)
	if !paused || text.Err != nil {
		return
	}
	p.nodes++
	p.endless = p.endless || numberIn(lifetime) == -1
	if left := protocol.Lifetime(numberIn(lifetime)); left >= p.For {
		p.For = left
		p.By, p.Why = protocol.DecodePause(value)
	}
}

// agreed is the pause if so many nodes have it that nobody can have a quorum.
func (p *pauses) agreed(i *Inspector) *Pause {
	if p.nodes <= len(i.nodes)-i.group.Quorum {
		return nil
	}
	if p.endless {
		p.For = 0
	}
	return &p.Pause
}
