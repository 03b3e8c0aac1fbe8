package rueidis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/redtick/redtick/redlock/driver"
)

// Masters returns a node for each master of a Cluster, and none for one server or
// a Sentinel group. The nodes share the client's connections. It asks all servers
// for the layout and uses the first answer. It fails if ctx ends before there is
// one, or before the client knows every master that it names.
func (n *Node) Masters(ctx context.Context) ([]driver.Node, error) {
	if n.shards == nil {
		return nil, nil
	}
	for {
		known := n.client.Nodes()
		masters, err := layout(ctx, known)
		if err != nil {
			return nil, err
		}
		nodes, stranger := nodesOf(masters, known)
		if stranger == "" {
			return nodes, nil
		}
		if err := n.meet(ctx, masters[stranger]); err != nil {
			return nil, fmt.Errorf("rueidis: the client does not know the master %s yet; retry in a second: %w", stranger, err)
		}
	}
}

// nodesOf returns a node for each master, or the address of a master that the
// client does not know.
func nodesOf(masters map[string]uint16, known map[string]rueidis.Client) (nodes []driver.Node, stranger string) {
	for _, addr := range slices.Sorted(maps.Keys(masters)) {
		client, ok := known[addr]
		if !ok {
			return nil, addr
		}
		nodes = append(nodes, &Node{client: client, name: addr})
	}
	return nodes, ""
}

const (
	meetLimit = 100 * time.Millisecond
	meetPause = 50 * time.Millisecond
)

// meet makes the client reload its layout, which it does after a redirect: every
// server but the owner redirects a command for slot. The server that the client
// takes for the owner may hang.
func (n *Node) meet(ctx context.Context, slot uint16) error {
	asked, cancel := context.WithTimeout(ctx, meetLimit)
	n.client.Do(asked, n.build(driver.Command{"PTTL", n.keyIn(slot)}))
	cancel()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(meetPause):
		return nil
	}
}

func (n *Node) keyIn(slot uint16) string {
	for i := 0; ; i++ {
		key := strconv.Itoa(i)
		if c := n.client.B().Arbitrary("PTTL").Keys(key).Build(); c.Slot() == slot {
			return key
		}
	}
}

// layout returns the address of each master, with one of its slots.
func layout(ctx context.Context, known map[string]rueidis.Client) (map[string]uint16, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		masters map[string]uint16
		err     error
	}
	answers := make(chan answer, len(known))
	for addr, client := range known {
		go func() {
			n := &Node{client: client, name: addr}
			r := n.Do(ctx, []driver.Command{{"CLUSTER", "SLOTS"}})[0]
			masters, err := mastersIn(r, addr)
			answers <- answer{masters, err}
		}()
	}
	var errs []error
	for range known {
		select {
		case a := <-answers:
			if a.err == nil {
				return a.masters, nil
			}
			errs = append(errs, a.err)
		case <-ctx.Done():
			errs = append(errs, ctx.Err())
		}
	}
	return nil, fmt.Errorf("rueidis: no server returned the Cluster's layout: %w", errors.Join(errs...))
}

// mastersIn reads a reply to CLUSTER SLOTS. An empty host stands for the server
// that was asked.
func mastersIn(r driver.Reply, asked string) (map[string]uint16, error) {
	ranges, _ := r.Value.([]any)
	if r.Err != nil || len(ranges) == 0 {
		return nil, errors.Join(r.Err, fmt.Errorf("%s knows no slots", asked))
	}
	masters := map[string]uint16{}
	for _, entry := range ranges {
		fields, _ := entry.([]any)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s answered CLUSTER SLOTS with %v", asked, entry)
		}
		master, _ := fields[2].([]any)
		if len(master) < 2 {
			return nil, fmt.Errorf("%s answered CLUSTER SLOTS with %v", asked, entry)
		}
		host, _ := master[0].(string)
		port, _ := master[1].(int64)
		if host == "" {
			host, _, _ = net.SplitHostPort(asked)
		}
		slot, _ := fields[0].(int64)
		masters[net.JoinHostPort(host, strconv.FormatInt(port, 10))] = uint16(slot)
	}
	return masters, nil
}
