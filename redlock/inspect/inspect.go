// Package inspect shows operators what the nodes hold: names and their holders,
// the ticks that ran, and the state of the nodes. It also pauses, triggers and
// forgets jobs, and releases a lock by force.
//
//	inspector, err := inspect.New(goredis.Nodes(a, b, c), inspect.WithPrefix("prod:"))
//	info, err := inspector.Show(ctx, "report")
//	fmt.Println(info) // "report" is held by host-1:4711 for another 27.3s
//
// It works while nodes are down; results and errors name the nodes that did not
// answer. It has its own pipelines, so a query delays no lock. A result is not a
// consistent snapshot, because the nodes answer at different times.
package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/pipeline"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Inspector queries nodes. It is safe for concurrent use. Only Pause, Resume,
// Trigger, Forget, Release and Bootstrap change anything. The first four refuse a
// name that no job can have; the error then matches [redlock.ErrInvalid].
type Inspector struct {
	group   *quorum.Group
	nodes   []driver.Node
	prefix  string
	timeout time.Duration
}

// Option changes a default of [New].
type Option func(*Inspector)

// WithPrefix sets the prefix that the services put before every name. Default "".
func WithPrefix(prefix string) Option { return func(i *Inspector) { i.prefix = prefix } }

// WithTimeout sets how long each query waits for silent nodes. Default 1 s.
func WithTimeout(d time.Duration) Option { return func(i *Inspector) { i.timeout = d } }

// New returns an inspector of nodes. It does not contact them.
func New(nodes []driver.Node, opts ...Option) (*Inspector, error) {
	i := &Inspector{nodes: nodes, timeout: time.Second}
	for n, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("%w: option %d is nil; leave it out", redlock.ErrInvalid, n+1)
		}
		o(i)
	}
	if i.timeout <= 0 {
		return nil, fmt.Errorf("%w: timeout is %v, must be more than 0; leave WithTimeout out for 1s", redlock.ErrInvalid, i.timeout)
	}
	var err error
	if i.group, err = quorum.NewGroup(nodes, i.timeout/2, nil); err != nil {
		return nil, fmt.Errorf("%w: %w", redlock.ErrInvalid, err)
	}
	return i, nil
}

// check returns the error with which [redlock.Locker.NewJob] would refuse a name, or nil.
func (i *Inspector) check(name string) error {
	if err := protocol.CheckName(i.prefix, name); err != nil {
		return fmt.Errorf("%w: %w", redlock.ErrInvalid, err)
	}
	return nil
}

// Info describes one name.
type Info struct {
	Name string
	// Token is the token that a majority of the nodes holds, or "" if none does.
	Token string
	// Holder is the readable part of Token.
	Holder string
	// Tick is the tick that the holder has claimed, or the zero time for a lock.
	Tick time.Time
	// Remaining is how long the lock lives without renewal, or 0 if it has no TTL and never expires.
	Remaining time.Duration
	// LastTick is the newest tick granted, and LastHolder its claimer, for as long as the nodes remember them.
	LastTick   time.Time
	LastHolder string
	// LastRun is the newest run that the nodes remember, or nil; see [redlock.WithHistory].
	LastRun *Run
	// Fence is the highest fence counter on any node, or 0.
	Fence int64
	// Paused is the job's pause, or nil.
	Paused *Pause
	// Waiters is how many processes wait for the name.
	Waiters int
	// Votes is what each node holds, in the order of the nodes.
	Votes []Vote
}

// Vote is one node's part of an [Info]. Err is set if the node did not answer, and
// also if it holds other data under the name, so that nobody can lock it.
type Vote struct {
	Node      string
	Token     string
	Remaining time.Duration
	Err       error
}

// String returns one line that says who holds the name and for how long.
func (info *Info) String() string {
	if info.Token == "" {
		return strconv.Quote(info.Name) + " is free"
	}
	if info.Remaining == 0 {
		return fmt.Sprintf("%q is held by %s and does not expire", info.Name, info.Holder)
	}
	return fmt.Sprintf("%q is held by %s for another %v", info.Name, info.Holder, info.Remaining)
}

// Show describes one name. The error matches [redlock.ErrNoQuorum] when no
// majority answered; Show then still returns what is known.
func (i *Inspector) Show(ctx context.Context, name string) (*Info, error) {
	lock := i.prefix + name
	keys := protocol.KeysOf(lock)
	info := &Info{Name: name}
	failed := i.failure("show", name)
	count, newest := map[string]int{}, int64(0)
	records := map[string]protocol.Record{}
	var pauses pauses
	for n, r := range i.askAll(ctx, tokenOf(lock), driver.Command{"PTTL", lock}, driver.Command{"GET", keys.Last},
		driver.Command{"GET", keys.Fence}, driver.Command{"ZCARD", keys.Waiters},
		driver.Command{"GET", keys.Pause}, driver.Command{"PTTL", keys.Pause}, driver.Command{"ZRANGE", keys.Runs, "-1", "-1"}) {
		vote := Vote{Node: i.group.Pipelines[n].Name()}
		vote.Token, vote.Err = textIn(r[0])
		if _, ok := r[1].Value.(int64); !ok && vote.Err == nil {
			vote.Err = cmp.Or(r[1].Err, protocol.Unexpected(r[1]))
		}
		if failed.note(n, vote.Err) {
			info.Votes = append(info.Votes, vote)
			continue
		}
		if pipeline.IsWrongType(r[0].Err) {
			vote.Err = errors.New(protocol.Foreign)
		}
		vote.Remaining = protocol.Lifetime(numberIn(r[1]))
		newest = max(newest, numberIn(r[2]))
		pauses.add(r[5], r[6])
		addRecords(records, r[7])
		info.Fence = max(info.Fence, numberIn(r[3]))
		info.Waiters = max(info.Waiters, int(numberIn(r[4])))
		if count[vote.Token]++; vote.Token != "" && count[vote.Token] >= i.group.Quorum {
			info.Token, info.Holder, info.Tick = vote.Token, redlock.HolderOf(vote.Token), redlock.TickOf(vote.Token)
		}
		info.Votes = append(info.Votes, vote)
	}
	info.Paused = pauses.agreed(i)
	for _, v := range info.Votes {
		if v.Token == info.Token && info.Token != "" {
			info.Remaining = max(info.Remaining, v.Remaining)
		}
	}
	if last := i.history(name, records, count).Runs; len(last) > 0 {
		info.LastRun = &last[0]
	}
	if newest > 0 {
		info.LastTick, info.LastHolder = protocol.Instant(newest), i.lastHolder(ctx, name, newest, info.LastRun)
	}
	return info, failed.outcome(ctx)
}

// lastHolder returns who claimed the newest tick. It asks the nodes only if the newest run is of another tick. A tick
// has no key under take-over, or after its retention.
func (i *Inspector) lastHolder(ctx context.Context, name string, tick int64, last *Run) (holder string) {
	ofTick := func(r Run) bool { return r.Tick.UnixMilli() == tick }
	switch {
	case last != nil && ofTick(*last):
		return last.Holder
	case last != nil:
		history, _ := i.Runs(ctx, name)
		if at := slices.IndexFunc(history.Runs, ofTick); at >= 0 {
			return history.Runs[at].Holder
		}
	}
	for _, r := range i.askAll(ctx, driver.Command{"HKEYS", protocol.KeysOf(i.prefix + name).Tick(tick)}) {
		for _, token := range claimants(r[0]) {
			holder = redlock.HolderOf(token)
		}
	}
	return holder
}

// tokenOf reads a lock's key. The length is limited because the key may hold other data of any size.
func tokenOf(lock string) driver.Command { return driver.Command{"GETRANGE", lock, "0", "511"} }

// textIn returns the string in a reply, or "" for a key of another type, which holds no token.
func textIn(r driver.Reply) (string, error) {
	s, isString := r.Value.(string)
	switch {
	case pipeline.IsWrongType(r.Err):
		return "", nil
	case r.Err != nil:
		return "", r.Err
	case !isString && r.Value != nil:
		return "", protocol.Unexpected(r)
	}
	return s, nil
}

func numberIn(r driver.Reply) int64 {
	if r.Err != nil {
		return 0
	}
	return protocol.Number([]any{r.Value}, 0)
}

// claimants returns the tokens in a tick's key.
func claimants(r driver.Reply) (tokens []string) {
	fields, _ := r.Value.([]any)
	for n := range fields {
		if token, ok := protocol.Claimant(protocol.Text(fields, n)); ok {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// ErrSomeNodes means that a change took effect on a majority of the nodes, but not
// on all.
var ErrSomeNodes = errors.New("redlock: done on a majority of the nodes, but some failed; repeat it when they work")

// failure is the error of an operation, should too many nodes fail.
type failure struct {
	*redlock.Error
	of *quorum.Group
}

func (i *Inspector) failure(op, name string) failure {
	return failure{&redlock.Error{Op: op, Name: name, Reason: redlock.ErrNoQuorum}, i.group}
}

// note adds a node that failed, and reports whether it did.
func (f failure) note(node int, err error) bool {
	if err != nil {
		f.Nodes = append(f.Nodes, &redlock.NodeError{Node: f.of.Pipelines[node].Name(), Err: err})
	}
	return err != nil
}

// outcome returns nil if a majority of the nodes answered.
func (f failure) outcome(ctx context.Context) error {
	all, answered := len(f.of.Pipelines), len(f.of.Pipelines)-len(f.Nodes)
	if answered >= f.of.Quorum {
		return nil
	}
	f.Detail = fmt.Sprintf("%d of %d nodes answered, %d needed", answered, all, f.of.Quorum)
	f.Reason = cmp.Or(ctx.Err(), f.Reason)
	return f.Error
}

// Release takes a name from its holder on all nodes, provided that its token is
// still token: a later holder keeps it. It waits for every node, up to twice the
// timeout. The holder notices at its next renewal. Release does not undo a claim:
// the tick stays claimed. The error matches [redlock.ErrLost] when the name is free
// or held under another token.
func (i *Inspector) Release(ctx context.Context, name, token string) error {
	n := protocol.NewParameters(protocol.Settings{}).Name(i.prefix + name)
	tally := i.vote(ctx, n.Bar(token)) // a tombstone keeps the holder's renewal from putting the key back
	if tally.Won() {
		i.vote(ctx, n.Release(token, true)) // on all nodes, since the waiter it wakes may listen on any
		return nil
	}
	failed := i.failure("release", name)
	for k, a := range tally.Answers {
		failed.note(k, a.Err)
	}
	if failed.Reason, failed.Detail = cmp.Or(ctx.Err(), failed.Reason), tally.String(); tally.Blocks(tally.Refused) {
		failed.Reason, failed.Detail = redlock.ErrLost, "the name is free, or held under another token"
	}
	return failed.Error
}

// Bootstrap declares the nodes new for [redlock.WithRestartGuard]: nodes without
// data may vote at once instead of after the longest TTL. Call it once, when the
// servers are first used or right before the guard is first turned on. Calling it
// at every start would defeat the guard. It fails for servers that may evict keys.
// It waits for every node.
func (i *Inspector) Bootstrap(ctx context.Context) error {
	patient, err := New(i.nodes, WithTimeout(max(i.timeout, 5*time.Second)))
	if err != nil {
		return err
	}
	errs := make([]error, len(i.nodes))
	for n, a := range patient.vote(ctx, protocol.Bootstrap()).Answers {
		if a.Err != nil {
			errs[n] = &redlock.NodeError{Node: i.group.Pipelines[n].Name(), Err: a.Err}
		}
	}
	return errors.Join(errs...)
}

// vote sends a request to every node and waits for all of them, at most the timeout.
func (i *Inspector) vote(ctx context.Context, r quorum.Request) quorum.Tally {
	answers := each(i, func(n int) quorum.Answer { return r.Decode(i.do(ctx, n, pipeline.Call{Request: r.Request})[0]) })
	return quorum.Count(answers, i.group.Quorum)
}

// askAll sends the commands to every node and waits for all of them, at most the timeout.
func (i *Inspector) askAll(ctx context.Context, commands ...driver.Command) [][]driver.Reply {
	return each(i, func(n int) []driver.Reply { return i.ask(ctx, n, commands...) })
}

// each calls f for all nodes at once, and returns the results in the order of the nodes.
func each[T any](i *Inspector, f func(node int) T) []T {
	results := make([]T, len(i.nodes))
	var all sync.WaitGroup
	for n := range results {
		all.Go(func() { results[n] = f(n) })
	}
	all.Wait()
	return results
}

// ask sends the commands to one node.
func (i *Inspector) ask(ctx context.Context, node int, commands ...driver.Command) []driver.Reply {
	calls := make([]pipeline.Call, len(commands))
	for k, c := range commands {
		calls[k].Command = c
	}
	return i.do(ctx, node, calls...)
}

func (i *Inspector) do(ctx context.Context, node int, calls ...pipeline.Call) []driver.Reply {
	silent, now := fmt.Errorf("no answer within %v", i.timeout), time.Now()
	replies, came := slices.Repeat([]driver.Reply{{Err: silent}}, len(calls)), make(answers, len(calls))
	for k := range calls {
		calls[k].To, calls[k].Index, calls[k].Until = came, k, now.Add(i.timeout)
		i.group.Pipelines[node].Post(&calls[k], now)
	}
	bounded, cancel := context.WithDeadline(ctx, now.Add(i.timeout))
	defer cancel()
	for left := len(calls); left > 0 && (bounded.Err() == nil || len(came) > 0); { // at the end, take what has come
		select {
		case a := <-came:
			left--
			replies[a.index] = a.reply
		case <-bounded.Done():
		}
	}
	for k, r := range replies {
		if late, ok := errors.AsType[net.Error](r.Err); ok && late.Timeout() {
			replies[k].Err = silent // whether the driver or the pipeline timed out
		}
		if replies[k].Err == silent && ctx.Err() != nil {
			replies[k].Err = ctx.Err()
		}
	}
	return replies
}

// answers are the replies of one node as they come.
type answers chan answer

type answer struct {
	index int
	reply driver.Reply
}

// Receive never blocks: there is room for each call's reply.
func (a answers) Receive(index int, r driver.Reply) { a <- answer{index, r} }
