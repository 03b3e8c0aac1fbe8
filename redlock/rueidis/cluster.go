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

// distrustFor is how long the client's own PING may take to find out that a
// connection is dead: every second it is sent, and waits for ten.
const distrustFor = 12 * time.Second

// regainLimit is how long a shared connection has to answer a PING. It grows.
const regainLimit = 100 * time.Millisecond

// trust is which hash tags' shards answered on the client's shared connections
// when others did not. A connection that did not answer may be dead, and be kept.
type trust struct {
	mu    sync.Mutex
	until time.Time // after that all are trusted
	tags  map[string]bool
}

// split returns the commands for shared connections, and those for others, by tag.
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

// doCluster sends a pipeline on the client's shared connections, but for the
// shards that lately left a command unanswered there.
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

// doShared does not use pipelines of blocking commands, which get connections of
// their own. They make rueidis panic when a slot migrates: it fails to recognise
// its own ASKING.
func (n *Node) doShared(ctx context.Context, commands []driver.Command, indices []int, replies []driver.Reply) {
	batch := make(rueidis.Commands, len(indices))
	for i, index := range indices {
		// Commands without a key are routed, too: rueidis panics over a batch that
		// has commands without a slot and commands of different slots.
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

// update trusts the tags that were answered, and for a while only those.
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

// add trusts one tag more, if there is any distrust.
func (t *trust) add(tag string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.until) {
		t.tags[tag] = true
	}
}

// distrust keeps all tags but some from the shared connections for a while, and
// tests these, and what lies idle to the shards of the silent ones.
func (n *Node) distrust(answered []string, silent map[string]string) {
	n.trust.update(answered, silent)
	go n.regain(maps.Clone(silent))
	n.sweep(func(ctx context.Context) {
		var all sync.WaitGroup
		for _, key := range silent {
			all.Go(func() { n.client.Do(ctx, n.buildAlone(exchange.Ping[0]).SetSlot(key)) })
		}
		all.Wait()
	})
}

// regain trusts the shared connections of a silent tag again once they answer a PING.
// When everything stood still for a moment they are well, and the lanes are too few
// for the names of several shards while one of these is dead.
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

// lanes is how many connections that nobody shares are used at once. A batch may
// have a thousand names, and each connection costs rueidis a megabyte.
const lanes = 16

// doApart sends single commands on connections that nobody shares: in order
// for each hash tag, and tags beside each other.
func (n *Node) doApart(ctx context.Context, commands []driver.Command, byTag map[string][]int, replies []driver.Reply) {
	free := make(chan struct{}, lanes)
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

// doInOrder sends nothing behind a command that was not answered: that may be
// executed yet. Nor does it begin when time is up, because to connect then would make
// the whole batch late.
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
		replies[i] = reply(n.client.Do(ctx, n.buildAlone(commands[i]).SetSlot(exchange.Key(commands[i]))))
		if !driver.Answered(replies[i].Err) {
			failed = replies[i].Err
		}
	}
}
