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
	// probePause is the time between two looks at a shard that does not answer.
	probePause = 100 * time.Millisecond
	// firstLook is how long the first look may take. Callers that ask again wait for it.
	firstLook = 100 * time.Millisecond
	// probeLimit is how long a look may take where shards answer fast. A look that
	// began before the shard was replaced may hang, and delays the next.
	probeLimit = 250 * time.Millisecond
	// probeFor is how long a shard is looked at after the last command for it.
	probeFor = 5 * time.Second
	// aliveFor is how long an answer proves that the Cluster is not down as a whole.
	aliveFor = time.Second
	// samples is how many random keys are looked at, so that some are a healthy shard's.
	samples = 4
	// few is how many silent keys are looked at while none answers. A shard may have
	// thousands, and each may take a connection.
	few = 12
)

// errShardSilent has the code with which a Cluster itself says that no server takes a
// key now. That is as true here: the command was not sent.
var errShardSilent = errors.New("CLUSTERDOWN the shard of this key does not answer, though other shards do; it is asked every 100ms")

// Shards keeps a Cluster's dead shard from stalling the names of the others. A
// Do lasts until its last command is answered, so commands for a shard that
// hangs would hold up all that come after them. Once a shard has left a command
// unanswered, its keys are refused at once, until it answers a probe.
type Shards struct {
	send func(ctx context.Context, commands []driver.Command) []driver.Reply

	mu       sync.Mutex
	slowest  time.Duration         // of the batches that were answered; it fades
	answered time.Time             // by any shard
	silent   map[string]*silentKey // by hash tag
	probing  bool
}

type silentKey struct {
	key    string
	used   time.Time
	looked chan struct{} // closed after the first look
}

// NewShards returns a Shards that sends with a client's pipeline.
func NewShards(send func(ctx context.Context, commands []driver.Command) []driver.Reply) *Shards {
	return &Shards{send: send, silent: map[string]*silentKey{}}
}

// Do sends the commands whose shards are thought to answer.
func (s *Shards) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
	s.awaitFirstLook(ctx, commands)
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

// awaitFirstLook waits for the first probe of a silent shard. It may find that only
// a connection had gone silent, and then the next vote is not refused.
func (s *Shards) awaitFirstLook(ctx context.Context, commands []driver.Command) {
	var looks []chan struct{}
	s.mu.Lock()
	if len(s.silent) > 0 {
		for _, c := range commands {
			if silent := s.silent[Tag(Key(c))]; silent != nil {
				looks = append(looks, silent.looked)
			}
		}
	}
	s.mu.Unlock()
	for _, looked := range looks {
		select {
		case <-looked:
		case <-ctx.Done():
			return
		}
	}
}

// split refuses commands for silent shards, and returns the others to be sent.
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

// limit returns half of the time left, so that the core does not take the whole
// Cluster for dead because one shard is. Where answers take long it returns more.
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
	looked := make(chan struct{})
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
				s.silent[Tag(key)] = &silentKey{key: key, used: now, looked: looked}
				fresh = append(fresh, key)
			}
		}
	}
	if fresh != nil {
		go func() {
			defer close(looked)
			if n := min(few, len(fresh)); s.look(fresh[:n], firstLook) && n < len(fresh) {
				s.look(fresh[n:], firstLook)
			}
		}()
	}
	if all {
		s.slowest = max(took, s.slowest-s.slowest/16)
	}
	if len(s.silent) > 0 && !s.probing {
		s.probing = true
		go s.probe()
	}
}

// probe looks at the silent shards until they answer or nobody wants them.
func (s *Shards) probe() {
	revived := false
	for {
		time.Sleep(probePause)
		keys, limit := s.wanted()
		if keys == nil {
			return
		}
		if !revived {
			keys = keys[:min(few, len(keys))]
		}
		for range samples {
			keys = append(keys, strconv.FormatUint(rand.Uint64(), 36))
		}
		revived = s.look(keys, limit)
	}
}

// wanted returns the silent keys, in any order. If there are none, the probing ends.
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

// look asks for keys: for a few each by itself, so that none waits for another, and
// for many in one pipeline. It reports whether a silent one was answered.
func (s *Shards) look(keys []string, limit time.Duration) (revived bool) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if len(keys) > few+samples {
		return s.ask(ctx, keys)
	}
	var found atomic.Bool
	var looks sync.WaitGroup
	for i := range keys {
		looks.Go(func() {
			if s.ask(ctx, keys[i:i+1]) {
				found.Store(true)
			}
		})
	}
	looks.Wait()
	return found.Load()
}

// ask sends a script for each key. A client may send what only reads to a replica,
// which answers for a master that does not.
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

// Key returns the key by which a Cluster routes c. For a command without a key any
// result is right.
func Key(c driver.Command) string {
	switch {
	case len(c) > 3 && strings.HasPrefix(strings.ToUpper(c[0].(string)), "EVAL"):
		return c[3].(string)
	case len(c) > 1:
		return c[1].(string)
	}
	return ""
}

// Tag returns the part of a key that decides its slot.
func Tag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if inner, _, ok := strings.Cut(rest, "}"); ok && inner != "" {
			return inner
		}
	}
	return key
}
