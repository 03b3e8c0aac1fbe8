package redlock

import (
	"context"

	"github.com/redtick/redtick/redlock/internal/quorum"
)

// orderedProbe settles split votes. Contenders that split the vote once would do so again, so after a split all of them ask
// the same node first, and the others only when it granted: a claimer that gets that one gets the rest.
type orderedProbe struct {
	on      bool
	first   int
	blocker string       // who refused us the first node last time
	failed  quorum.Tally // the last votes that lacked answers
}

// voteInOrder asks one node, and then the others. A refusal by the first node alone is not a verdict, so the others are
// then asked who is there.
func (r *round) voteInOrder(ctx context.Context, first int) (quorum.Tally, error) {
	l, cfg := r.t.locker, &r.t.cfg
	r.poll = l.group.NewPoll()
	until := r.poll.Start.Add(cfg.validity())
	for range l.group.Pipelines {
		r.first = first
		r.poll.AskOne(ctx, first, r.request, until, quorum.Vote)
		tally, err := r.poll.WaitFor(ctx, first, cfg.nodeTimeout)
		if err != nil || tally.Certain() {
			return tally, err
		}
		if v := tally.Answers[first].Verdict; v != quorum.Failed && v != quorum.Pending {
			r.looked = v != quorum.Granted
			break
		}
		first = (first + 1) % len(l.group.Pipelines)
	}
	rest := r.request
	if r.looked {
		rest = r.t.name.Look(r.a.tick, r.token, cfg.owner)
	}
	for i := range l.group.Pipelines {
		if !r.poll.Asked(i) {
			r.poll.AskOne(ctx, i, rest, until, quorum.Vote)
		}
	}
	return r.wait(ctx)
}

// observe turns to another first node when the same token still blocks it and leads nowhere: a dead claimer's, most likely.
func (o *orderedProbe) observe(r *round, tally *quorum.Tally, result outcome) {
	if tally.Failed > 0 {
		o.failed = *tally
	}
	if o.on && result == split && r.looked {
		blocker := tally.Answers[r.first].Token
		if blocker == o.blocker {
			o.first = (r.first + 1) % len(tally.Answers)
		}
		o.blocker = blocker
	}
	o.on = o.on || result == split
}

// mostInformative is the tally that says most about the reason. Of a missing majority the last one may say little: nodes that
// were only asked who is there did not say why they would not vote.
func (o *orderedProbe) mostInformative(tally quorum.Tally, reason error) quorum.Tally {
	if reason == ErrTaken || reason == ErrTickDone || reason == ErrPaused || tally.Failed > 0 || o.failed.Failed == 0 {
		return tally
	}
	return o.failed
}
