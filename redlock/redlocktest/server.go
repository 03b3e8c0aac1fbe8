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

// ErrRestarted is what batches and subscriptions that were under way get when
// their server restarts.
var ErrRestarted = errors.New("redlocktest: read: connection reset by peer: server restarted")

// Server is the memory and the clock of one Redis. Links to it are made with
// [Server.Node]. It is safe for concurrent use.
type Server struct {
	mu            sync.Mutex // never held while waiting
	redis         *memredis.Server
	clock         clock
	frozen        bool
	arrived       []func() // what came while frozen
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

// Nodes links one client to all servers. The links are of type [*Node] and named
// "client/1", "client/2" and so on.
func Nodes(servers []*Server, client string) []driver.Node {
	nodes := make([]driver.Node, len(servers))
	for i, server := range servers {
		nodes[i] = server.Node(fmt.Sprintf("%s/%d", client, i+1))
	}
	return nodes
}

// SetClock makes the server's clock differ from now on: it is ahead by offset
// and runs at rate, where 1 is right. TIME and the end of keys follow it; as in
// Redis, a clock that is set forward ends keys early.
func (s *Server) SetClock(offset time.Duration, rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = newClock(offset, rate)
}

// Restart ends the process and starts it anew without its data: no keys, no
// scripts, other ids, not frozen, refusing nothing. Whatever was under way fails
// with [ErrRestarted] and is not executed any more.
func (s *Server) Restart() { s.restart(false) }

// RestartWithData is [Server.Restart] by a server that had written all its keys
// to disk. Scripts are lost all the same.
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

// Promote gives the server another replication id, as a replica has after it
// took over from its master.
func (s *Server) Promote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redis.Promote()
}

// Freeze stops the process. What reaches it waits, until [Server.Thaw] or for
// ever, even when its sender has given up. The clock goes on.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

// Thaw lets the process go on. It first does what has arrived, in that order.
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

// Answer makes the server refuse what its links send from now on: it executes
// nothing of that and answers with the error that Redis has for the code.
//
//   - BUSY concerns every command.
//   - LOADING and MASTERDOWN concern all but TIME, INFO, CONFIG, PUBLISH and
//     SUBSCRIBE.
//   - CLUSTERDOWN concerns commands and scripts with a key, TRYAGAIN those with
//     more than one.
//   - READONLY, NOREPLICAS and MISCONF concern writes, and OOM those that need
//     memory (SET, INCR, HSET, ZADD). A script runs until it calls one, unless
//     it has written before. MISCONF concerns PING too.
//
// Answer("") and a restart end it. Another code takes the place of the one
// before, and one that is not listed here panics. [Server.Do] is never refused.
func (s *Server) Answer(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.redis.Refuse(code) {
		panic(fmt.Sprintf("redlocktest: Answer(%q): no such code, use one of %q", code, memredis.Refusals()))
	}
}

// Version makes the server answer like an older Redis: "5.0", "6.0", "6.2", or
// "7.0", which is the default. Before 7.0 SET does not take GET beside NX and an
// error raised in a script comes wrapped, as
//
//	ERR Error running script (call to f_<sha>): @user_script:1: WRONGTYPE …
//
// Before 6.2 SET knows neither GET nor EXAT and PXAT, before 6.0 no KEEPTTL, and
// SCAN no TYPE. It stays over restarts. A version that is not listed here panics.
func (s *Server) Version(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.redis.Imitate(version) {
		panic(fmt.Sprintf("redlocktest: Version(%q): no such version, use one of %q", version, memredis.Versions()))
	}
}

// arrive runs something that has reached the server, now or after a thaw, with
// s.mu held.
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

// Do runs one command right in the server: at once, also while it is frozen,
// over no link and without being counted. It is for looking and for preparing.
func (s *Server) Do(args ...string) driver.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.redis.Do(args)
}

// Keys lists the keys that are alive, sorted.
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

// Batches counts the batches executed, over all links, since the server was
// made.
func (s *Server) Batches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches
}

// Commands counts how often the named command was executed, over all links and
// not counting what scripts do and what was refused, since the server was made.
func (s *Server) Commands(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands[strings.ToUpper(name)]
}
