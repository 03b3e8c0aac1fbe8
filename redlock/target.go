package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// target is a name with its options, as a Mutex or a Job has it. It holds no state of an acquisition.
type target struct {
	locker        *Locker
	cfg           config
	name          *protocol.Name
	decodeRelease func(driver.Reply) quorum.Answer // also tells the queue if the release woke a waiter
}

// initTarget sets the target of a Mutex or a Job.
func initTarget[O LockerOption](t *target, l *Locker, name string, isLock bool, opts []O) error {
	t.locker, t.cfg = l, l.cfg
	cfg := &t.cfg
	if err := apply(cfg, opts); err != nil {
		return err
	}
	if err := cfg.derive(); err != nil {
		return err
	}
	if isLock {
		// Only its job knows whether an adopted claim is under take-over. Assume so: then only the unlock ends its tick. Do so after
		// derive, in which a take-over turns fencing on.
		cfg.takeover = !cfg.anyOrder
	}
	if isLock || cfg.takeover {
		cfg.lateness = 0 // Await asks until the tick is stale
	}
	if err := l.CheckName(name); err != nil {
		return err
	}
	t.setName(cfg.prefix + name)
	t.decodeRelease = func(r driver.Reply) quorum.Answer {
		a := protocol.DecodeCount(r)
		if a.Woke {
			l.queue.HandedOff(t.name.Lock)
		}
		return a
	}
	return nil
}

// setName sets the name, with the prefix, after the options. Targets with the same settings, as most of a Locker have, share their
// parameters.
func (t *target) setName(full string) {
	c, last := &t.cfg, &t.locker.parameters
	s := protocol.Settings{
		TTL: c.ttl, Retention: c.retention, MaxSkew: c.maxSkew, Spacing: c.spacing, Guard: c.guardWindow,
		Mode: c.mode(), Fencing: c.fencing, History: c.history, KeepLast: c.catchUp > 0}
	p := last.Load()
	if p == nil || p.Settings != s {
		p = protocol.NewParameters(s)
		last.Store(p)
	}
	t.name = p.Name(full)
}

// ask puts a question to all nodes. The error matches ErrNoQuorum if no majority answers.
func (t *target) ask(ctx context.Context, op string, tick int64, question quorum.Request) (quorum.Tally, error) {
	tally, err := t.twice(ctx, func() (quorum.Tally, error) { return t.poll(ctx, question) })
	if err == nil && tally.Blocks(tally.Missing()) {
		err = ErrNoQuorum
	}
	if err != nil {
		return tally, t.fail(op, tick, &tally, err)
	}
	return tally, nil
}

// twice polls again if the nodes failed fast, but not at once: the call to a node that is still to fail would share its batch.
func (t *target) twice(ctx context.Context, poll func() (quorum.Tally, error)) (quorum.Tally, error) {
	start := time.Now()
	tally, err := poll()
	if err == nil && failedFast(&tally) {
		t.pause(ctx, start, 0)
		return poll()
	}
	return tally, err
}

// poll puts one request to all nodes and waits for the outcome.
func (t *target) poll(ctx context.Context, r quorum.Request) (quorum.Tally, error) {
	busy := t.cfg.validity() / 2
	p := t.locker.group.Ask(ctx, r, time.Now().Add(busy), pipeline.Question)
	err := p.Wait(ctx, t.cfg.nodeTimeout, busy)
	return p.Tally(), err
}
