package exchange

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
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
	// probeLimit bounds a probe where shards answer fast. A probe that began before
	// the shard was replaced may hang, and delays the next.
	probeLimit = 250 * time.Millisecond
	// probeFor is how long a shard is probed after the last command for it.
	probeFor = 5 * time.Second
	// aliveFor is how long an answer proves that the Cluster is not down as a whole.
	aliveFor = time.Second
	// samples is how many random keys are probed as well, so that some belong to a
	// healthy shard.
	samples = 4
	// maxKeys is how many silent keys are probed while none answers. A shard may have
	// thousands, and each may take a connection.
	maxKeys = 12
)

// errShardSilent uses the code of a Cluster that has no server for a key. As there,
// the command was not executed.
var errShardSilent = errors.New("CLUSTERDOWN the shard of this key does not answer, though other shards do; it is asked every 100ms")

// Shards keeps a Cluster's dead shard from stalling names on the others. A Do lasts
// until its last command is answered, so commands for a hung shard would delay all
// later ones. Once a shard has left a command unanswered, its keys are refused at
// once until it answers a probe.
type Shards struct {
	send func(ctx context.Context, commands []driver.Command) []driver.Reply

	mu       sync.Mutex
	slowest  time.Duration         // decaying maximum over answered batches
	answered time.Time             // when any shard last answered
	silent   map[string]*silentKey // by hash tag
	probing  bool
}

type silentKey struct {
	key    string
	used   time.Time
	probed chan struct{} // closed after the first probe
}

// NewShards returns a Shards that sends commands by calling send, one pipeline each.
func NewShards(send func(ctx context.Context, commands []driver.Command) []driver.Reply) *Shards {
	return &Shards{send: send, silent: map[string]*silentKey{}}
}

// Do sends the commands, except those for silent shards, which fail at once.
func (s *Shards) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	s.awaitFirstProbe(ctx, commands)
	replies := Fail(len(commands), ErrMissing)
	sent, indices := s.split(commands, replies)
	if len(sent) == 0 {
		return replies
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit(ctx))
	defer cancel()
	start := time.Now()
	for i, r := range s.send(ctx, sent) {
		replies[indices[i]] = r
	}
	s.learn(commands, replies, time.Since(start))
	return replies
}

// awaitFirstProbe waits for the first probe of a silent shard. If only a connection
// had gone silent, the probe finds out and the next vote is not refused.
func (s *Shards) awaitFirstProbe(ctx context.Context, commands []driver.Command) {
	var probes []chan struct{}
	s.mu.Lock()
	if len(s.silent) > 0 {
		for _, c := range commands {
			if silent := s.silent[Tag(Key(c))]; silent != nil {
				probes = append(probes, silent.probed)
			}
		}
	}
	s.mu.Unlock()
	for _, probed := range probes {
		select {
		case <-probed:
		case <-ctx.Done():
			return
		}
	}
}

// split fails the replies to commands for silent shards, and returns the other
// commands with their indices.
func (s *Shards) split(commands []driver.Command, replies []driver.Reply) (sent []driver.Command, indices []int) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	// If nothing answers, more than one shard is down, and the core must see that.
	refuse := len(s.silent) > 0 && now.Sub(s.answered) < aliveFor
	for i, c := range commands {
		if silent := s.silent[Tag(Key(c))]; refuse && silent != nil {
			silent.used = now
			replies[i].Err = errShardSilent
			continue
		}
		sent, indices = append(sent, c), append(indices, i)
	}
	return sent, indices
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

func (s *Shards) learn(commands []driver.Command, replies []driver.Reply, took time.Duration) {
	now := time.Now()
	var fresh []string
	probed := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	all := true
	for i, r := range replies {
		switch {
		case r.Err == errShardSilent:
		case driver.Answered(r.Err):
			s.answered = now
			delete(s.silent, Tag(Key(commands[i])))
		default:
			all = false
			key := Key(commands[i])
			if s.silent[Tag(key)] == nil {
				s.silent[Tag(key)] = &silentKey{key: key, used: now, probed: probed}
				fresh = append(fresh, key)
			}
		}
	}
	if fresh != nil {
		go func() {
			defer close(probed)
			if n := min(maxKeys, len(fresh)); s.probe(fresh[:n], firstLimit) && n < len(fresh) {
				s.probe(fresh[n:], firstLimit)
			}
		}()
	}
	if all {
		s.slowest = max(took, s.slowest-s.slowest/16)
	}
	if len(s.silent) > 0 && !s.probing {
		s.probing = true
		go s.probeAll()
	}
}

// probeAll probes the silent keys until they answer or are no longer used.
func (s *Shards) probeAll() {
	revived := false
	for {
		time.Sleep(probePause)
		keys, limit := s.wanted()
		if keys == nil {
			return
		}
		if !revived {
			keys = keys[:min(maxKeys, len(keys))]
		}
		for range samples {
			keys = append(keys, strconv.FormatUint(rand.Uint64(), 36))
		}
		revived = s.probe(keys, limit)
	}
}

// wanted returns the silent keys still in use, in any order, and the limit of a
// probe. If there are none, it ends the probing.
func (s *Shards) wanted() (keys []string, limit time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, silent := range s.silent {
		if now.Sub(silent.used) > probeFor {
			delete(s.silent, name)
			continue
		}
		keys = append(keys, silent.key)
	}
	s.probing = keys != nil
	return keys, max(probeLimit, 4*s.slowest)
}

// probe asks for keys: a few separately, so that none delays another, or many in one
// pipeline. It reports whether a silent one was answered.
func (s *Shards) probe(keys []string, limit time.Duration) (revived bool) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if len(keys) > maxKeys+samples {
		return s.ask(ctx, keys)
	}
	var found atomic.Bool
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			if s.ask(ctx, keys[i:i+1]) {
				found.Store(true)
			}
		})
	}
	all.Wait()
	return found.Load()
}

// ask sends a script for each key. A client may route a read-only command to a
// replica, which would answer for a dead master.
func (s *Shards) ask(ctx context.Context, keys []string) (revived bool) {
	batch := make([]driver.Command, len(keys))
	for i, key := range keys {
		batch[i] = driver.Command{"EVAL", "return 0", "1", key}
	}
	replies := s.send(ctx, batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range replies {
		if !driver.Answered(r.Err) {
			continue
		}
		s.answered = time.Now()
		if name := Tag(keys[i]); s.silent[name] != nil {
			delete(s.silent, name)
			revived = true
		}
	}
	return revived
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

// Tag returns the part of key that determines its slot.
func Tag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if inner, _, ok := strings.Cut(rest, "}"); ok && inner != "" {
			return inner
		}
	}
	return key
}
