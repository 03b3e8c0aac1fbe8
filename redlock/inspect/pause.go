package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Pause describes a pause, during which a job's ticks cannot be claimed.
type Pause struct {
	// By is who paused the job, up to 256 bytes, and Why the reason, up to 1024.
	By, Why string
	// For is how long the pause lasts from now, or 0 to last until [Inspector.Resume].
	For time.Duration
}

// String returns who paused the job, for how long and why.
func (p *Pause) String() string {
	text := "until it is resumed"
	if p.For > 0 {
		text = "for another " + p.For.Round(time.Millisecond).String()
	}
	return protocol.PauseText(text, p.By, p.Why)
}

const maxBy, maxWhy = 256, 1024

// Pause pauses a job for the whole fleet, replacing an earlier pause. Claims that
// begin after it has returned nil fail with [redlock.ErrPaused] until the pause
// ends; their ticks are skipped. Runs in progress, and mutexes and electors of the
// name, are not affected. p.For is measured by the nodes' clocks.
//
// It waits for every node, and returns nil when a majority has the pause. If one of
// that majority then fails, a claim may lack a quorum instead, and begin late, after
// the pause ([redlock.WithLateness]). If the error matches [redlock.ErrNoQuorum],
// some nodes may have it: repeat it, or call Resume.
func (i *Inspector) Pause(ctx context.Context, name string, p Pause) error {
	switch {
	case len(p.By) > maxBy || len(p.Why) > maxWhy:
		return fmt.Errorf("%w: a pause's By has %d bytes and its Why %d, must have at most %d and %d", redlock.ErrInvalid, len(p.By), len(p.Why), maxBy, maxWhy)
	case p.For < 0 || p.For > 0 && p.For < time.Millisecond:
		return fmt.Errorf("%w: a pause is for %v, must be at least 1ms, or 0 for one without end", redlock.ErrInvalid, p.For)
	}
	keys := protocol.KeysOf(i.prefix + name)
	commands := []driver.Command{{"SET", keys.Pause, protocol.EncodePause(p.By, p.Why)}}
	if p.For > 0 {
		end := append(commands[0], "PX", strconv.FormatInt(p.For.Milliseconds(), 10))
		commands = []driver.Command{resumed(keys, time.Now().Add(p.For), p.For), end}
	}
	err := i.execute(ctx, "pause", name, commands...)
	if errors.Is(err, ErrSomeNodes) {
		return nil // a majority with the pause denies every claim its votes
	}
	return err
}

// resumed records when a pause ends, for [Runs]. end is wall-clock time because it is compared with ticks; left is how
// far ahead it is.
func resumed(keys protocol.Keys, end time.Time, left time.Duration) driver.Command {
	lifetime := protocol.ResumedLifetime + min(left, protocol.ResumedLifetime)
	return driver.Command{"SET", keys.Resumed, strconv.FormatInt(end.UnixMilli(), 10), "PX", strconv.FormatInt(lifetime.Milliseconds(), 10)}
}

// Resume ends a job's pause, if it has one. It waits for every node. The error
// matches [ErrSomeNodes] when a majority has resumed the job but the listed nodes
// have not. These deny the job their votes until the pause expires, so repeat Resume
// when they work.
func (i *Inspector) Resume(ctx context.Context, name string) error {
	keys := protocol.KeysOf(i.prefix + name)
	commands := []driver.Command{{"DEL", keys.Pause}}
	for _, r := range i.askAll(ctx, driver.Command{"GET", keys.Pause}) {
		if r[0].Err == nil && r[0].Value != nil { // recording an end without a pause would hide that the job is overdue
			commands = []driver.Command{resumed(keys, time.Now(), 0), {"DEL", keys.Pause}}
		}
	}
	return i.execute(ctx, "resume", name, commands...)
}

// execute sends commands to every node. The failure lists the nodes that did not execute the last one; it matches
// [ErrSomeNodes] if a majority did.
func (i *Inspector) execute(ctx context.Context, op, name string, commands ...driver.Command) error {
	if err := i.check(name); err != nil {
		return err
	}
	failed := i.failure(op, name)
	for n, r := range i.askAll(ctx, commands...) {
		if err := r[len(r)-1].Err; !pipeline.Executed(err) {
			failed.note(n, err)
		}
	}
	err := failed.outcome(ctx)
	if err == nil && len(failed.Nodes) > 0 {
		failed.Reason = ErrSomeNodes
		return failed.Error
	}
	return err
}

// pauses collects the nodes' records of one job's pause.
type pauses struct {
	Pause
	nodes   int
	endless bool
	ends    []int64 // when the last pause ends, in Unix ms, for each node that answered
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

// agreed returns the pause if too few nodes are without it for a quorum, otherwise nil.
func (p *pauses) agreed(i *Inspector) *Pause {
	if p.nodes <= len(i.nodes)-i.group.Quorum {
		return nil
	}
	if p.endless {
		p.For = 0
	}
	return &p.Pause
}

// end returns when the last pause ended or will end, or the zero time. An end counts only if too few nodes are without
// it for a quorum.
func (p *pauses) end(i *Inspector) time.Time {
	slices.Sort(p.ends)
	if k := len(p.ends) - 1 - (len(i.nodes) - i.group.Quorum); k >= 0 {
		return protocol.Instant(p.ends[k])
	}
	return time.Time{}
}
