package redlock

import (
	"context"
	"errors"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Check asks every node whether it would let this Locker vote and takes writes,
// but changes nothing. Call it when a service starts. New contacts no node, so a
// wrong address, such as a replica's, password or access rule would come to light
// only at the first tick. Check waits for all nodes, until ctx ends and for 10 s at
// most. It does not ask the restart guard.
//
// The error lists each node that did not answer as it should. It matches
// [ErrNoQuorum] if these are so many that nothing would be granted. Otherwise the
// remaining nodes suffice for now.
func (l *Locker) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, longestCheck)
	defer cancel()
	t := &target{locker: l, cfg: l.cfg}
	t.cfg.guardWindow = 0 // to ask the guard would begin its memory, and the node could not be declared fresh any more
	if err := t.init("redtick:check", true); err != nil {
		return err
	}
	if err := l.usable(ctx); err != nil {
		return err
	}
	tally := t.askUntilAnswered(ctx)
	failure := t.fail("check", 0, &tally, ErrNoQuorum)
	failure.Name = "" // it means nothing to the caller
	switch {
	case len(failure.Nodes) == 0:
		return nil
	case tally.Blocks(tally.Missing()):
		return failure
	}
	return errors.Join(failure.Unwrap()[1:]...) // the nodes' errors without the reason
}

const (
	longestCheck = 10 * time.Second
	checks       = 2 // repetitions for nodes that do not answer
)

// askUntilAnswered asks every node, and all of them again while an answer may come: the first call also connects, which may take
// longer than a call.
func (t *target) askUntilAnswered(ctx context.Context) quorum.Tally {
	for try := 0; ; try++ {
		tally := t.askAll(ctx)
		if tally.Missing() == failures(&tally, isPermanent) || ctx.Err() != nil || try >= checks {
			return tally
		}
		t.locker.sleep(ctx, t.cfg.nodeTimeout)
	}
}

// askAll asks every node for a read and a write, since a replica, or a server whose disk is full, answers a read. It waits for
// all nodes, even after the outcome is certain.
func (t *target) askAll(ctx context.Context) quorum.Tally {
	now := time.Now()
	until := now.Add(t.cfg.nodeTimeout)
	limit, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	read := t.locker.group.Ask(limit, t.name.Look(now.UnixMilli(), "", ""), until, pipeline.Question)
	write := t.locker.group.Ask(limit, t.name.TryWrite(), until, pipeline.Question)
	all := func(t *quorum.Tally) bool { return t.Pending == 0 }
	_ = read.WaitFor(limit, t.cfg.nodeTimeout, all)
	_ = write.WaitFor(limit, t.cfg.nodeTimeout, all)
	answers, wrote := read.Tally().Answers, write.Tally().Answers
	for i := range answers {
		if v := answers[i].Verdict; v != quorum.Failed && v != quorum.Pending {
			answers[i] = wrote[i]
		}
		if answers[i].Verdict == quorum.Pending {
			answers[i] = quorum.Answer{Verdict: quorum.Failed, Err: t.errNoAnswer(ctx.Err())}
		}
	}
	return quorum.Count(answers, t.locker.group.Quorum)
}
