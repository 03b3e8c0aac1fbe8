package rueidis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/exchange"
)

// cluster is the layout of a Cluster. rueidis has one of its own, but sends a pipeline
// only on shared connections, and keeps those for 12 s after they went silent.
type cluster struct {
	mu      sync.Mutex
	slots   []slots
	servers map[string]*Node // by address, replicas included
}

// slots is a range of slots and the address of their master.
type slots struct {
	first, last uint16
	master      string
}

// owner returns the node of the master to which key belongs.
func (n *Node) owner(ctx context.Context, key string) (driver.Node, error) {
	slot := n.slot(key)
	owner := n.find(slot)
	if owner == nil {
		if err := n.reload(ctx); err != nil {
			return nil, err
		}
		owner = n.find(slot)
	}
	return owner, nil
}

// find returns the node of a slot's master. If the client does not know it, another
// server will do, which redirects.
func (n *Node) find(slot uint16) (server *Node) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	for _, s := range n.cluster.slots {
		if s.first <= slot && slot <= s.last && n.cluster.servers[s.master] != nil {
			return n.cluster.servers[s.master]
		}
	}
	for _, server = range n.cluster.servers {
		break
	}
	return server
}

func (n *Node) slot(key string) uint16 {
	c := n.client.B().Arbitrary("GET").Keys(key).Build()
	return c.Slot()
}

// redirect sends each command to a random server, since rueidis does so without a slot,
// and follows MOVED and ASK. That also makes the client know new servers. It sends no
// pipeline of blocking commands: rueidis would fail to recognize its own ASKING.
func (n *Node) redirect(ctx context.Context, commands []driver.Command) []driver.Reply {
	return n.watch.Do(ctx, commands, false, func() []driver.Reply {
		replies := make([]driver.Reply, len(commands))
		for i, c := range commands {
			if i > 0 && !driver.Answered(replies[i-1].Err) {
				replies[i] = replies[i-1] // a later command must not overtake that one
				continue
			}
			replies[i] = reply(n.client.Do(ctx, n.exclusive(c)))
		}
		return replies
	})
}

// askLimit is how long a server has to return the layout.
const askLimit = 500 * time.Millisecond

// reload asks random servers for the layout until one returns it.
func (n *Node) reload(ctx context.Context) error {
	layout, err := exchange.Hedge(ctx, func() ([]slots, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askLimit)
		defer cancel()
		for addr, server := range n.meet() { // in random order
			return read(server.Do(ctx, []driver.Command{{"CLUSTER", "SLOTS"}})[0], addr)
		}
		return nil, errors.New("the client knows no server")
	})
	if err != nil {
		return fmt.Errorf("rueidis: no server returned the Cluster's layout: %w", err)
	}
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.cluster.slots = layout
	return nil
}

// meet returns the servers that the client knows now.
func (n *Node) meet() map[string]*Node {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	known := map[string]*Node{}
	for addr, client := range n.client.Nodes() {
		if known[addr] = n.cluster.servers[addr]; known[addr] == nil || known[addr].closed.Load() {
			known[addr] = &Node{client: client, name: addr}
		}
	}
	n.cluster.servers = known
	return known
}

// read reads a reply to CLUSTER SLOTS. An empty host stands for the server that was
// asked.
func read(r driver.Reply, asked string) (layout []slots, err error) {
	ranges, _ := r.Value.([]any)
	for _, entry := range ranges {
		fields, _ := entry.([]any)
		var master []any
		if len(fields) > 2 {
			master, _ = fields[2].([]any)
		}
		if len(master) < 2 {
			return nil, fmt.Errorf("%s answered CLUSTER SLOTS with %v", asked, entry)
		}
		first, _ := fields[0].(int64)
		last, _ := fields[1].(int64)
		host, _ := master[0].(string)
		port, _ := master[1].(int64)
		if host == "" {
			host, _, _ = net.SplitHostPort(asked)
		}
		layout = append(layout, slots{uint16(first), uint16(last), net.JoinHostPort(host, strconv.FormatInt(port, 10))})
	}
	if layout == nil {
		return nil, errors.Join(r.Err, fmt.Errorf("%s knows no slots", asked))
	}
	return layout, nil
}

// meetPause is how long Masters waits for the client to meet a master.
const meetPause = 100 * time.Millisecond

// Masters returns a node for each master of a Cluster, and none for one server or
// a Sentinel group. The nodes share the client's connections. A server that hangs
// delays it by 250 ms, after which another one is asked for the layout as well. It
// fails if none returns it within two seconds, or if ctx ends before the client knows
// every master.
func (n *Node) Masters(ctx context.Context) ([]driver.Node, error) {
	if n.shards == nil {
		return nil, nil
	}
	for {
		if err := n.reload(ctx); err != nil {
			return nil, err
		}
		nodes, stranger := n.masters()
		if stranger == nil {
			return nodes, nil
		}
		// Every server but the owner redirects a command for the slot.
		asked, cancel := context.WithTimeout(ctx, meetPause)
		n.redirect(asked, []driver.Command{{"PTTL", n.keyIn(stranger.first)}})
		<-asked.Done()
		cancel()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("rueidis: the client does not know the master %s yet; retry in a second: %w", stranger.master, ctx.Err())
		}
	}
}

// masters returns a node for each master, or the slots of a master that the client does
// not know.
func (n *Node) masters() (nodes []driver.Node, stranger *slots) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	for _, s := range n.cluster.slots {
		server := n.cluster.servers[s.master]
		if server == nil {
			return nil, &s
		}
		if !slices.Contains(nodes, driver.Node(server)) {
			nodes = append(nodes, server)
		}
	}
	return nodes, nil
}

func (n *Node) keyIn(slot uint16) string {
	for i := 0; ; i++ {
		if key := strconv.Itoa(i); n.slot(key) == slot {
			return key
		}
	}
}
