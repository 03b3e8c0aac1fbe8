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

// askAll asks every node for a read and a write, since a replica, or a server whose disk is full, answers a read. The read comes
// twice: a node gets a script in full at first and by its digest after that, and may forbid either. It waits for all nodes, even
// after the outcome is certain.
func (t *target) askAll(ctx context.Context) quorum.Tally {
	now := time.Now()
	until := now.Add(t.cfg.nodeTimeout)
	limit, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	var polls []*quorum.Poll
	for _, r := range []quorum.Request{t.name.Look(now.UnixMilli(), "", ""), t.name.Look(now.UnixMilli(), "", ""), t.name.TryWrite()} {
		polls = append(polls, t.locker.group.Ask(limit, r, until, pipeline.Question))
	}
	answers := make([]quorum.Answer, len(t.locker.group.Pipelines))
	for _, p := range polls {
		_ = p.WaitFor(limit, t.cfg.nodeTimeout, func(t *quorum.Tally) bool { return t.Pending == 0 })
		for i, a := range p.Tally().Answers {
			if a.Verdict == quorum.Pending {
				a = quorum.Answer{Verdict: quorum.Failed, Err: t.errNoAnswer(ctx.Err())}
			}
			if answers[i].Verdict != quorum.Failed {
				answers[i] = a
			}
		}
	}
	return quorum.Count(answers, t.locker.group.Quorum)
}
