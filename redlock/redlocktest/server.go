package redlocktest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/redlocktest/internal/memredis"
)

// ErrRestarted is the error of batches and subscriptions that a restart of their
// server ends.
var ErrRestarted = errors.New("redlocktest: read: connection reset by peer: server restarted")

// Server is the memory and the clock of one Redis. [Server.Node] makes links to it.
// It is safe for concurrent use.
type Server struct {
	mu            sync.Mutex // never held while waiting
	redis         *memredis.Server
	clock         clock
	frozen        bool
	arrived       []func() // requests that arrived while frozen
	subscriptions []*subscription
	nodes         []*Node
	batches       int
	commands      map[string]int
}

// NewServer returns an empty server whose clock is right.
func NewServer() *Server {
	s := &Server{commands: make(map[string]int)}
	s.redis = memredis.New(func() time.Time { return s.clock.now() }, s.publish, s.disconnect)
	return s
}

// Servers returns n new servers.
func Servers(n int) []*Server {
	servers := make([]*Server, n)
	for i := range servers {
		servers[i] = NewServer()
	}
	return servers
}

// Nodes returns a link from one client to each server. The links are of type
// [*Node] and named client+"/1", client+"/2" and so on.
func Nodes(servers []*Server, client string) []driver.Node {
	nodes := make([]driver.Node, len(servers))
	for i, server := range servers {
		nodes[i] = server.Node(fmt.Sprintf("%s/%d", client, i+1))
	}
	return nodes
}

// SetClock sets the server's clock ahead by offset and lets it run at rate, where 1
// is the correct rate. TIME and the expiry of keys follow it: as in Redis, setting
// the clock forward expires keys early.
func (s *Server) SetClock(offset time.Duration, rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = newClock(offset, rate)
}

// Restart restarts the server without its data: without keys and scripts, with new
// ids, not frozen and refusing nothing. Requests in flight fail with [ErrRestarted]
// and are not executed.
func (s *Server) Restart() { s.restart(false) }

// RestartWithData is like [Server.Restart] for a server that has saved all its keys.
// Scripts are still lost.
func (s *Server) RestartWithData() { s.restart(true) }

func (s *Server) restart(keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redis.Restart(keep)
	s.frozen, s.arrived = false, nil
	s.subscriptions = nil
	for _, node := range s.nodes {
		node.breakConnection(ErrRestarted)
	}
}

// Promote gives the server a new replication id, as if it were a replica that has
// taken over from its master.
func (s *Server) Promote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redis.Promote()
}

// Freeze stops the server. Requests that arrive wait until [Server.Thaw], even if
// their sender gives up. The clock keeps running.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

// Thaw ends a Freeze. It first executes the waiting requests in the order of their
// arrival.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = false
	arrived := s.arrived
	s.arrived = nil
	for _, run := range arrived {
		run()
	}
}

// Answer makes the server refuse commands from its links: it does not execute them,
// and answers with Redis' error for code.
//
//   - BUSY applies to every command.
//   - LOADING and MASTERDOWN apply to all but TIME, INFO, CONFIG, PUBLISH and
//     SUBSCRIBE.
//   - CLUSTERDOWN applies to commands and scripts with a key, TRYAGAIN to those with
//     more than one.
//   - READONLY, NOREPLICAS and MISCONF apply to writes, and OOM to those that need
//     memory (SET, INCR, HSET, ZADD). A script runs until it calls one, unless
//     it has written before. MISCONF applies to PING, too.
//
// A new code replaces the one before. Answer("") and a restart end it. Answer panics
// if code is not listed here. [Server.Do] is never refused.
func (s *Server) Answer(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.redis.Refuse(code) {
		panic(fmt.Sprintf("redlocktest: Answer(%q): no such code, use one of %q", code, memredis.Refusals()))
	}
}

// Version makes the server answer like an older Redis: "5.0", "6.0", "6.2", or
// "7.0", the default. Before 7.0 SET does not accept GET together with NX, and an
// error in a script is wrapped:
//
//	ERR Error running script (call to f_<sha>): @user_script:1: WRONGTYPE …
//
// Before 6.2 SET does not support GET. A restart keeps the version. Version panics if
// version is not listed here.
func (s *Server) Version(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.redis.Imitate(version) {
		panic(fmt.Sprintf("redlocktest: Version(%q): no such version, use one of %q", version, memredis.Versions()))
	}
}

// arrive executes a request that has reached the server, now or after a thaw. It
// holds s.mu while run runs.
func (s *Server) arrive(run func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		s.arrived = append(s.arrived, run)
		return
	}
	run()
}

// execute runs a batch. The caller holds s.mu.
func (s *Server) execute(batch [][]string) []driver.Reply {
	s.batches++
	replies := make([]driver.Reply, len(batch))
	for i, args := range batch {
		if s.redis.Refused(args) == nil {
			s.commands[strings.ToUpper(args[0])]++
		}
		replies[i] = s.redis.Serve(args)
	}
	return replies
}

// Do executes one command directly: at once, even while the server is frozen, over
// no link and without being counted. Tests use it to prepare and inspect data.
func (s *Server) Do(args ...string) driver.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.redis.Do(args)
}

// Keys returns the keys that have not expired, sorted.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.redis.Keys()
}

// Get returns the string at key, and whether there is one.
func (s *Server) Get(key string) (value string, found bool) {
	value, found = s.Do("GET", key).Value.(string)
	return value, found
}

// Batches returns the number of batches executed over all links since the server
// was made.
func (s *Server) Batches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches
}

// Commands returns how often the named command was executed over all links since
// the server was made. Calls from scripts and refused commands do not count.
func (s *Server) Commands(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands[strings.ToUpper(name)]
}
