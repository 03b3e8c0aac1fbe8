package inspect

import (
	"context"
	"fmt"
	"slices"
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
	keys := protocol.KeysOf(i.prefix + name)
	set := driver.Command{"SET", keys.Pause, protocol.EncodePause(p.By, p.Why)}
	if p.For == 0 {
		return i.outcome(ctx, i.execute(ctx, "pause", name, set))
	}
	set = append(set, "PX", strconv.FormatInt(p.For.Milliseconds(), 10))
	return i.outcome(ctx, i.execute(ctx, "pause", name, resumed(keys, time.Now().Add(p.For), p.For), set))
}

// resumed notes when a pause ends, for [Runs]. It is compared with ticks, which are wall-clock time, so it is that as well.
func resumed(keys protocol.Keys, end time.Time, in time.Duration) driver.Command {
	lifetime := protocol.ResumedLifetime + min(in, protocol.ResumedLifetime)
	return driver.Command{"SET", keys.Resumed, strconv.FormatInt(end.UnixMilli(), 10), "PX", strconv.FormatInt(lifetime.Milliseconds(), 10)}
}

// Resume ends a job's pause, if it has one. It waits for every node. The error
// matches [ErrSomeNodes] when a majority has resumed the job but the others, which
// it lists, could not be told: they refuse the job their votes until the pause
// ends by itself, so repeat Resume when they answer.
func (i *Inspector) Resume(ctx context.Context, name string) error {
	keys := protocol.KeysOf(i.prefix + name)
	commands := []driver.Command{{"DEL", keys.Pause}}
	for _, r := range i.askAll(ctx, driver.Command{"GET", keys.Pause}) {
		if r[0].Err == nil && r[0].Value != nil { // else the end of no pause would hide that the job is overdue
			commands = []driver.Command{resumed(keys, time.Now(), 0), {"DEL", keys.Pause}}
		}
	}
	return i.everywhere(ctx, i.execute(ctx, "resume", name, commands...))
}

// execute has every node execute commands, and returns an error with those that have not executed the last one.
func (i *Inspector) execute(ctx context.Context, op, name string, commands ...driver.Command) *redlock.Error {
	failed := &redlock.Error{Op: op, Name: name, Reason: redlock.ErrNoQuorum}
	for n, r := range i.askAll(ctx, commands...) {
		if last := r[len(r)-1]; !pipeline.Executed(last.Err) {
			failed.Nodes = append(failed.Nodes, &redlock.NodeError{Node: i.group.Pipelines[n].Name(), Err: last.Err})
		}
	}
	return failed
}

// pauses are what the nodes say of one job's.
type pauses struct {
	Pause
	nodes   int
	endless bool
	ends    []int64 // of the last pause, in Unix ms, by node that answered
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

// end is when the last pause ended, or is to, if so many nodes know it that nobody had a quorum before. An end that
// only a pause on fewer nodes wrote counts for nothing.
func (p *pauses) end(i *Inspector) time.Time {
	slices.Sort(p.ends)
	if k := len(p.ends) - 1 - (len(i.nodes) - i.group.Quorum); k >= 0 {
		return protocol.Instant(p.ends[k])
	}
	return time.Time{}
}
