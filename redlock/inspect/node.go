package inspect

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// Node is the state of one node.
type Node struct {
	Name string
	// RoundTrip is how long a command took. ClockOffset is how far the node's clock is ahead of the local one; its
	// error is at most half of RoundTrip.
	RoundTrip, ClockOffset time.Duration
	// Server is "redis" or "valkey", and Version its version.
	Server, Version string
	// Mode is "standalone", "cluster" or "sentinel".
	Mode string
	// Masters is the number of masters with slots in the server's Cluster, 1 if it is not in a Cluster, or 0 if unknown.
	Masters int
	// Replicas is the number of working replicas of the server, or of all masters of its Cluster; 0 if unknown.
	Replicas int
	// RunID, Role and MaxMemoryPolicy are as the server reports them.
	RunID, Role, MaxMemoryPolicy string
	// Persistence is "aof" with the appendfsync setting ("aof always"), "rdb", "none", or "" if unknown.
	Persistence string
	// Err is why the node's state is not known, or nil.
	Err error
}

// Nodes describes all nodes, in order.
func (i *Inspector) Nodes(ctx context.Context) []Node {
	return each(i, func(n int) Node { return i.node(ctx, n) })
}

func (i *Inspector) node(ctx context.Context, n int) (node Node) {
	node.Name = i.group.Pipelines[n].Name()
	replies := i.ask(ctx, n, driver.Command{"INFO"}, driver.Command{"CONFIG", "GET", "appendfsync"}, driver.Command{"CONFIG", "GET", "save"})
	if err := replies[0].Err; !driver.Answered(err) { // a user who may not use INFO may still vote
		node.Err = err
		return node
	}
	begin := time.Now() // not before, when the client may still have had to connect
	r := i.ask(ctx, n, driver.Command{"TIME"})[0]
	node.RoundTrip = time.Since(begin)
	theirs, err := timeIn(r)
	if err != nil {
		node.Err = err
		return node
	}
	node.ClockOffset = theirs.Sub(begin.Add(node.RoundTrip / 2)).Round(time.Microsecond)
	info, _ := replies[0].Value.(string)
	for _, server := range []string{"redis", "valkey"} { // Valkey reports both
		if v := infoField(info, server+"_version"); v != "" {
			node.Server, node.Version = server, v
		}
	}
	node.Mode = cmp.Or(infoField(info, "server_mode"), infoField(info, "redis_mode"))
	node.RunID, node.Role, node.MaxMemoryPolicy = infoField(info, "run_id"), infoField(info, "role"), infoField(info, "maxmemory_policy")
	i.count(ctx, n, &node, info)
	fsync, _ := replies[1].Value.([]any)
	save, _ := replies[2].Value.([]any)
	switch aof := infoField(info, "aof_enabled"); {
	case aof == "1":
		node.Persistence = strings.TrimSpace("aof " + protocol.Text(fsync, 1))
	case aof == "0" && protocol.Text(save, 1) != "":
		node.Persistence = "rdb"
	case aof == "0":
		node.Persistence = "none"
	}
	return node
}

// timeIn returns the time in a reply to TIME.
func timeIn(r driver.Reply) (time.Time, error) {
	fields, _ := r.Value.([]any)
	if r.Err == nil && len(fields) != 2 {
		r.Err = protocol.Unexpected(r)
	}
	return time.Unix(protocol.Number(fields, 0), protocol.Number(fields, 1)*1000), r.Err
}

// count sets Masters and Replicas.
func (i *Inspector) count(ctx context.Context, n int, node *Node, info string) {
	if node.Mode != "cluster" {
		if info != "" {
			node.Masters = 1
		}
		node.Replicas, _ = strconv.Atoi(infoField(info, "connected_slaves"))
		return
	}
	ranges, _ := i.ask(ctx, n, driver.Command{"CLUSTER", "SLOTS"})[0].Value.([]any)
	masters, replicas := map[string]bool{}, map[string]bool{}
	for _, r := range ranges {
		fields, _ := r.([]any) // the first slot, the last one, the master, its replicas
		for k, server := range fields[min(2, len(fields)):] {
			if k == 0 {
				masters[fmt.Sprint(server)] = true
			} else {
				replicas[fmt.Sprint(server)] = true
			}
		}
	}
	node.Masters, node.Replicas = len(masters), len(replicas)
}

// infoField returns the value of a field of INFO, or "".
func infoField(info, field string) string {
	_, after, found := strings.Cut("\n"+info, "\n"+field+":")
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(value)
}
