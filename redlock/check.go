package redlock

import (
	"context"
	"errors"
	"fmt"
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
	cfg := l.cfg
	cfg.guardWindow = 0 // to ask the guard would begin its memory, and the node could not be declared fresh any more
	t, err := l.newTarget("redtick:check", cfg)
	if err != nil {
		return err
	}
	if err := l.usable(ctx); err != nil {
		return err
	}
	tally := t.askAgain(ctx, t.name.Look(time.Now().UnixMilli(), "", ""))
	if tally.Missing() == 0 { // a replica, or a server whose disk is full, answers who only looks
		tally = t.askAgain(ctx, t.name.Probe())
	}
	failure := t.fail("check", 0, tally, ErrNoQuorum)
	failure.Name = "" // it means nothing to the caller
	switch {
	case len(failure.Nodes) == 0:
		return nil
	case tally.Blocks(tally.Missing()):
		return failure
	}
	errs := make([]error, len(failure.Nodes))
	for i, n := range failure.Nodes {
		errs[i] = n
	}
	return errors.Join(errs...)
}

const (
	longestCheck = 10 * time.Second
	checks       = 2 // repetitions for nodes that do not answer
)

// askAgain asks every node, and all of them again while an answer may come: the first call also connects, which may take longer
// than a call.
func (t *target) askAgain(ctx context.Context, r quorum.Request) (tally quorum.Tally) {
	for try := 0; ; try++ {
		tally = t.askAll(ctx, r)
		if tally.Missing() == failures(&tally, isPermanent) || ctx.Err() != nil || try >= checks {
			return tally
		}
		t.locker.sleep(ctx, t.cfg.nodeTimeout)
	}
}

// askAll asks every node. Unlike a poll it waits for all answers, even after the outcome is certain.
func (t *target) askAll(ctx context.Context, r quorum.Request) quorum.Tally {
	polls := make([]*quorum.Poll, len(t.locker.group.Pipelines))
	for i := range polls {
		polls[i] = t.locker.group.NewPoll()
		polls[i].AskOne(ctx, i, r, polls[i].Start.Add(t.cfg.nodeTimeout), pipeline.Vote)
	}
	answers := make([]quorum.Answer, len(polls))
	for i, p := range polls {
		tally, _ := p.WaitFor(ctx, i, t.cfg.nodeTimeout)
		if answers[i] = tally.Answers[i]; answers[i].Verdict == quorum.Pending {
			answers[i] = quorum.Answer{Verdict: quorum.Failed, Err: fmt.Errorf("no answer within %v", t.cfg.nodeTimeout)}
		}
	}
	return quorum.Count(answers, t.locker.group.Quorum)
}
