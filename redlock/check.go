package redlock

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Check asks every node whether this Locker may vote and write there. It changes
// nothing. Call it when a service starts: New contacts no node, so without Check a
// wrong address (such as a read-only replica's), password or access rule shows only
// at the first tick. Check waits for all nodes, until ctx ends and for 10 s at most.
// It does not tell whether the restart guard makes a node abstain, or whether a node
// allows subscriptions, without which locks and claims still work; see
// [NoticesUnheard] and [TriggersUnheard].
//
// The error lists each node that did not answer as it should. It matches
// [ErrNoQuorum] if too few are left to grant anything.
func (l *Locker) Check(ctx context.Context) error {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, maxCheck)
	defer cancel()
	t := new(target)
	unguarded := WithRestartGuard(0) // asking the guard would start its memory, and Bootstrap would refuse the node afterwards
	if err := initTarget(t, l, "redtick:check", true, []LockerOption{unguarded}); err != nil {
		return err
	}
	if err := l.stopped(ctx); err != nil {
		return err
	}
	tally := t.askUntilAnswered(ctx)
	failure := t.fail("check", 0, &tally, cmp.Or(caller.Err(), ErrNoQuorum))
	failure.Name = "" // the caller did not choose it
	switch {
	case len(failure.Nodes) == 0:
		return nil
	case tally.Blocks(tally.Missing()):
		return failure
	}
	return errors.Join(failure.Unwrap()[1:]...) // the nodes' errors without the reason
}

const (
	maxCheck     = 10 * time.Second
	checkRetries = 2 // for nodes that do not answer
)

// askUntilAnswered asks every node, and asks again while an answer may still come. The first call also connects, which may take
// longer than a call.
func (t *target) askUntilAnswered(ctx context.Context) quorum.Tally {
	for try := 0; ; try++ {
		tally := t.askAll(ctx)
		if tally.Missing() == failures(&tally, isPermanent) || ctx.Err() != nil || try >= checkRetries {
			return tally
		}
		t.locker.sleep(ctx, t.cfg.nodeTimeout)
	}
}

// askAll asks every node for a read and for writes, since a replica, or a server with a full disk, answers reads. It asks for the read
// twice: a script is sent in full first and by its digest after that, and a node may forbid either. It waits for all nodes, even
// once the outcome is certain.
func (t *target) askAll(ctx context.Context) quorum.Tally {
	now := time.Now()
	until := now.Add(t.cfg.nodeTimeout)
	limit, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	var polls []*quorum.Poll
	for _, r := range append(t.name.TryWrites(), t.name.Look(now.UnixMilli(), "", ""), t.name.Look(now.UnixMilli(), "", "")) {
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
