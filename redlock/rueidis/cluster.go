package rueidis

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// distrustFor is how long the client's own PING may take to detect a dead
// connection: it is sent every second, and times out after ten.
const distrustFor = 12 * time.Second

// regainLimit is how long a shared connection has to answer the first PING. It
// doubles with each attempt.
const regainLimit = 100 * time.Millisecond

// trust records which hash tags were answered on the client's shared connections
// while others were not. The connections of the others may be dead, yet kept by
// the client.
type trust struct {
	mu    sync.Mutex
	until time.Time // from then on all tags are trusted
	tags  map[string]bool
}

// split returns the indices of the commands for shared connections, and of the
// others, by hash tag.
func (t *trust) split(commands []driver.Command) (shared []int, apart map[string][]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := !time.Now().Before(t.until)
	for i, c := range commands {
		if tag := exchange.Tag(exchange.Key(c)); all || t.tags[tag] {
			shared = append(shared, i)
		} else {
			if apart == nil {
				apart = map[string][]int{}
			}
			apart[tag] = append(apart[tag], i)
		}
	}
	return shared, apart
}

// doCluster sends commands on the client's shared connections, except those whose
// tags are not trusted.
func (n *Node) doCluster(ctx context.Context, commands []driver.Command) []driver.Reply {
	shared, apart := n.trust.split(commands)
	replies := exchange.Fail(len(commands), exchange.ErrMissing)
	var both sync.WaitGroup
	if len(apart) > 0 {
		both.Go(func() { n.doApart(ctx, commands, apart, replies) })
	}
	if len(shared) > 0 {
		n.doShared(ctx, commands, shared, replies)
	}
	both.Wait()
	return replies
}

// doShared sends a pipeline on the client's shared connections. A pipeline of
// blocking commands would get exclusive ones, but makes rueidis panic when a slot
// migrates: it fails to recognize its own ASKING.
func (n *Node) doShared(ctx context.Context, commands []driver.Command, indices []int, replies []driver.Reply) {
	batch := make(rueidis.Commands, len(indices))
	for i, index := range indices {
		// Every command gets a slot, even without a key: rueidis panics when a batch
		// mixes commands without a slot and commands of different slots.
		batch[i] = n.build(commands[index]).SetSlot(exchange.Key(commands[index]))
	}
	var answered []string
	silent := map[string]string{}
	for i, r := range translate(n.client.DoMulti(ctx, batch...), len(batch)) {
		replies[indices[i]] = r
		key := exchange.Key(commands[indices[i]])
		if driver.Answered(r.Err) {
			answered = append(answered, exchange.Tag(key))
		} else {
			silent[exchange.Tag(key)] = key
		}
	}
	if len(silent) > 0 {
		n.distrust(answered, silent)
	}
}

// update trusts the answered tags, and for distrustFor no others. Tags that were
// trusted stay so unless they are silent.
func (t *trust) update(answered []string, silent map[string]string) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !now.Before(t.until) {
		t.tags = map[string]bool{}
	}
	for _, tag := range answered {
		t.tags[tag] = true
	}
	for tag := range silent {
		delete(t.tags, tag)
	}
	t.until = now.Add(distrustFor)
}

// add trusts one more tag, unless all are trusted.
func (t *trust) add(tag string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.until) {
		t.tags[tag] = true
	}
}

// distrust keeps all tags but the answered ones off the shared connections for a
// while. It tests the shared connections, and the idle exclusive ones, of the
// silent tags.
func (n *Node) distrust(answered []string, silent map[string]string) {
	n.trust.update(answered, silent)
	go n.regain(maps.Clone(silent))
	n.sweep(func(ctx context.Context) {
		var all sync.WaitGroup
		for _, key := range silent {
			all.Go(func() { n.client.Do(ctx, n.buildExclusive(exchange.Ping[0]).SetSlot(key)) })
		}
		all.Wait()
	})
}

// regain trusts a silent tag again once its shared connection answers a PING.
// After a short stall the connections are sound, and there are too few exclusive
// ones for the names of several shards while one shard is dead.
func (n *Node) regain(silent map[string]string) {
	for limit := regainLimit; len(silent) > 0 && limit < distrustFor; limit *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		keys := slices.Collect(maps.Values(silent))
		batch := make(rueidis.Commands, len(keys))
		for i, key := range keys {
			batch[i] = n.build(exchange.Ping[0]).SetSlot(key)
		}
		for i, r := range translate(n.client.DoMulti(ctx, batch...), len(batch)) {
			if tag := exchange.Tag(keys[i]); driver.Answered(r.Err) {
				n.trust.add(tag)
				delete(silent, tag)
			}
		}
		if len(silent) > 0 {
			<-ctx.Done()
		}
		cancel()
	}
}

// maxExclusive is how many exclusive connections are used at once. A batch may
// have a thousand names, and each connection costs rueidis a megabyte.
const maxExclusive = 16

// doApart sends single commands on exclusive connections: in order for each hash
// tag, and concurrently for different tags.
func (n *Node) doApart(ctx context.Context, commands []driver.Command, byTag map[string][]int, replies []driver.Reply) {
	free := make(chan struct{}, maxExclusive)
	var busy sync.WaitGroup
	for _, indices := range byTag {
		free <- struct{}{}
		busy.Go(func() {
			defer func() { <-free }()
			n.doInOrder(ctx, commands, indices, replies)
		})
	}
	busy.Wait()
}

// doInOrder stops at the first command that is not answered: the server may still
// execute it. It does not begin after the deadline, because connecting would delay
// the whole batch.
func (n *Node) doInOrder(ctx context.Context, commands []driver.Command, indices []int, replies []driver.Reply) {
	var failed error
	if deadline, _ := ctx.Deadline(); !time.Now().Before(deadline) {
		failed = context.DeadlineExceeded
	} else {
		n.conns.take()
		defer func() { n.conns.put(failed == nil) }()
	}
	for _, i := range indices {
		if failed != nil {
			replies[i].Err = failed
			continue
		}
		replies[i] = reply(n.client.Do(ctx, n.buildExclusive(commands[i]).SetSlot(exchange.Key(commands[i]))))
		if !driver.Answered(replies[i].Err) {
			failed = replies[i].Err
		}
	}
}
