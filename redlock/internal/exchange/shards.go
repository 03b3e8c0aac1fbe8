package exchange

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/redlock/driver"
)

const (
	// probePause is the time between two probes of a silent shard.
	probePause = 100 * time.Millisecond
	// firstLimit bounds the first probe, for which later callers wait.
	firstLimit = 100 * time.Millisecond
	// probeLimit bounds a probe where shards answer fast.
	probeLimit = 250 * time.Millisecond
	// probeFor is how long a shard is probed after the last command for it.
	probeFor = 5 * time.Second
	// aliveFor is how long an answer proves that the Cluster is not down as a whole.
	aliveFor = time.Second
	// maxAsked bounds the requests for a layout: each may hang on a dead server.
	maxAsked = 8
	// hedgePause is the time between two calls of a Hedge.
	hedgePause = 250 * time.Millisecond
)

// errShardSilent uses the code of a Cluster that has no server for a key. As there,
// the command was not executed.
var errShardSilent = errors.New("CLUSTERDOWN the shard of this key does not answer, though other shards do; it is asked every 100ms")

// Cluster is what a client knows of a Cluster or a Ring. Each function may take any
// time.
type Cluster struct {
	// Owner returns the node of the server to which key belongs, the same one each time.
	Owner func(ctx context.Context, key string) (driver.Node, error)
	// Redirect sends commands that another server owns by now. It follows MOVED and ASK.
	Redirect func(ctx context.Context, commands []driver.Command) []driver.Reply
	// Reload makes Owner learn who owns which keys now.
	Reload func(ctx context.Context) error
}

// Shards sends each command to the server that owns its key, and keeps a dead server
// from stalling names on the others. A Do lasts until its last command is answered,
// so commands for a hung shard would delay all later ones. Once a shard has left a
// command unanswered, its commands are refused at once until it answers a probe.
type Shards struct {
	cluster Cluster
	reloads atomic.Int32 // in flight

	mu      sync.Mutex
	slowest time.Duration // decaying maximum over answered batches
	known   map[driver.Node]*shard
	probing bool
}

type shard struct {
	used, answered time.Time
	silent         chan struct{} // nil if it answers; closed after the first probe
}

// NewShards returns a Shards for a cluster.
func NewShards(cluster Cluster) *Shards {
	return &Shards{cluster: cluster, known: map[driver.Node]*shard{}}
}

// Do sends the commands, except those for silent shards, which fail at once.
func (s *Shards) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	ctx, cancel := context.WithTimeout(ctx, s.limit(ctx))
	defer cancel()
	byOwner := map[driver.Node][]int{}
	err := Within(ctx, func() error {
		for i, c := range commands {
			owner, err := s.cluster.Owner(ctx, Key(c))
			if err != nil {
				return err
			}
			byOwner[owner] = append(byOwner[owner], i)
		}
		return nil
	}, ctx.Err)
	if err != nil {
		return Fail(len(commands), err)
	}
	replies := Fail(len(commands), ErrMissing)
	var all sync.WaitGroup
	for owner, indices := range byOwner {
		all.Go(func() {
			if s.refuses(ctx, owner) {
				spread(replies, indices, Fail(len(indices), errShardSilent))
			} else {
				spread(replies, indices, s.ask(ctx, owner, pick(commands, indices)))
			}
		})
	}
	all.Wait()
	var moved []int
	for i, r := range replies {
		if code := driver.ErrorCode(r.Err); code == "MOVED" || code == "ASK" {
			moved = append(moved, i)
		}
	}
	if moved != nil {
		s.reload()
		spread(replies, moved, s.cluster.Redirect(ctx, pick(commands, moved)))
	}
	return replies
}

func pick(commands []driver.Command, indices []int) []driver.Command {
	some := make([]driver.Command, len(indices))
	for i, index := range indices {
		some[i] = commands[index]
	}
	return some
}

func spread(replies []driver.Reply, indices []int, some []driver.Reply) {
	for i, r := range some {
		replies[indices[i]] = r
	}
}

// limit returns half of the time left, so that the core does not count the whole
// Cluster as dead because of one shard, or more if answers are slow.
func (s *Shards) limit(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Minute
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(time.Until(deadline)/2, 4*s.slowest)
}

// refuses reports whether a shard is silent while another one answers. If none does,
// the core must see that. It waits for a silent shard's first probe: if only a
// connection had gone silent, the probe finds out and the next vote is not refused.
func (s *Shards) refuses(ctx context.Context, owner driver.Node) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[owner] == nil {
		s.known[owner] = &shard{}
	}
	this := s.known[owner]
	this.used = now
	if silent := this.silent; silent != nil {
		s.mu.Unlock()
		select {
		case <-silent:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	if this.silent == nil {
		return false
	}
	for _, other := range s.known {
		if other != this && now.Sub(other.answered) < aliveFor {
			return true
		}
	}
	return false
}

// ask sends commands and notes whether their owner is silent.
func (s *Shards) ask(ctx context.Context, owner driver.Node, commands []driver.Command) []driver.Reply {
	start := time.Now()
	replies := owner.Do(ctx, commands)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	this := s.known[owner]
	switch {
	case this == nil: // a probe of a shard that is no longer used
	case AllAnswered(replies):
		this.answered, this.silent = now, nil
		s.slowest = max(now.Sub(start), s.slowest-s.slowest/16)
	case this.silent == nil:
		probed := make(chan struct{})
		this.silent = probed
		go func() {
			defer close(probed)
			s.probe(owner, firstLimit)
		}()
		if !s.probing {
			s.probing = true
			go s.probeAll()
		}
	}
	return replies
}

// probeAll probes the shards, and reloads the layout, until no shard in use is silent.
// Those that answer are probed as well, because nobody else may ask them.
func (s *Shards) probeAll() {
	for {
		time.Sleep(probePause)
		shards, limit := s.wanted()
		if shards == nil {
			return
		}
		s.reload()
		var all sync.WaitGroup
		for _, owner := range shards {
			all.Go(func() { s.probe(owner, limit) })
		}
		all.Wait()
	}
}

// wanted returns the shards to probe and the limit of a probe. If there are none, it
// ends the probing.
func (s *Shards) wanted() (shards []driver.Node, limit time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probing = false
	for owner, this := range s.known {
		if this.silent != nil && now.Sub(this.used) > probeFor {
			delete(s.known, owner)
			continue
		}
		s.probing = s.probing || this.silent != nil
		shards = append(shards, owner)
	}
	if !s.probing {
		return nil, 0
	}
	return shards, max(probeLimit, 4*s.slowest)
}

// look is a probe. PING would not do: a server that lets writes wait, as during a
// failover by hand, answers it.
var look = []driver.Command{{"EVAL", "return 0", "0"}}

func (s *Shards) probe(owner driver.Node, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s.ask(ctx, owner, look)
}

func (s *Shards) reload() {
	if s.reloads.Add(1) > maxAsked {
		s.reloads.Add(-1)
		return
	}
	go func() {
		defer s.reloads.Add(-1)
		_ = s.cluster.Reload(context.Background())
	}()
}

// Hedge calls f, which asks a random server of a Cluster, until a call succeeds. A call
// may hang, so another one is made 250 ms later.
func Hedge[T any](ctx context.Context, f func() (T, error)) (result T, err error) {
	type answer struct {
		result T
		err    error
	}
	answers := make(chan answer, maxAsked)
	err = errors.New("no answer in 2s")
	for range maxAsked {
		go func() {
			result, err := f()
			answers <- answer{result, err}
		}()
		select {
		case a := <-answers:
			if a.err == nil {
				return a.result, nil
			}
			err = a.err
		case <-ctx.Done():
			return result, ctx.Err()
		case <-time.After(hedgePause):
		}
	}
	return result, err
}

// Key returns the key by which a Cluster routes c. For a command without a key the
// result does not matter.
func Key(c driver.Command) string {
	switch {
	case len(c) > 3 && strings.HasPrefix(strings.ToUpper(c[0].(string)), "EVAL"):
		return c[3].(string)
	case len(c) > 1:
		return c[1].(string)
	}
	return ""
}
