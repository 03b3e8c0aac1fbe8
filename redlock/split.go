package redlock

import (
	"context"
	"time"

	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// orderedProbe resolves split votes. Contenders that split the vote once would do so again, so after a split all of them ask the
// same node first, and the others only if it granted. The contender that gets the first node gets the rest.
type orderedProbe struct {
	on      bool
	first   int
	blocker string       // the token that last held the first node
	blocked time.Time    // since when it has
	failed  quorum.Tally // the latest vote that lacked answers
}

// voteInOrder asks one node first, or the next one if that fails. If it granted, it asks the others to vote, too. If it refused,
// which decides nothing by itself, it asks the others only who holds the name.
func (r *round) voteInOrder(ctx context.Context, first int) error {
	l, cfg := r.t.locker, &r.t.cfg
	r.poll = l.group.NewPoll()
	request, until := r.request(), r.poll.Start.Add(cfg.validity())
	for range l.group.Pipelines {
		r.first = first
		r.poll.AskOne(ctx, first, request, until, pipeline.Vote)
		err := r.poll.WaitForOne(ctx, cfg.nodeTimeout, first)
		tally := r.poll.Tally()
		if err != nil || tally.Certain() {
			return err
		}
		if v := tally.Answers[first].Verdict; v != quorum.Failed && v != quorum.Pending {
			r.looked = v != quorum.Granted
			break
		}
		first = (first + 1) % len(l.group.Pipelines)
	}
	class := pipeline.Vote
	if r.looked {
		request, class = r.t.name.Look(r.a.tick, r.token, cfg.owner), pipeline.Question
	}
	for i := range l.group.Pipelines {
		if !r.poll.Asked(i) {
			r.poll.AskOne(ctx, i, request, until, class)
		}
	}
	return r.poll.Wait(ctx, r.limit(), cfg.validity()/2)
}

// observe moves on to another first node if the same token blocks the current one twice without a majority. Most likely it is a
// dead claimer's. But while a node is missing, a live claimer's token stays for as long as its round waits for that node. Moving
// on from a live one would have each of the two take a node, round after round.
func (o *orderedProbe) observe(r *round, tally *quorum.Tally, result outcome) {
	if tally.Failed > 0 {
		o.failed = *tally
	}
	switch {
	case !o.on || result != split || !r.looked:
	case tally.Answers[r.first].Token != o.blocker:
		o.blocker, o.blocked = tally.Answers[r.first].Token, time.Now()
	case tally.Missing() == 0 || time.Since(o.blocked) > r.limit():
		o.first = (r.first + 1) % len(tally.Answers)
	}
	o.on = o.on || result == split
}

// mostInformative returns the tally that says most about the reason. Without a quorum the last tally may say little, because nodes
// that were only asked who holds the name did not say why they would not vote.
func (o *orderedProbe) mostInformative(tally *quorum.Tally, reason error) *quorum.Tally {
	if reason == ErrTaken || reason == ErrTickDone || reason == ErrPaused || tally.Failed > 0 || o.failed.Failed == 0 {
		return tally
	}
	return &o.failed
}
