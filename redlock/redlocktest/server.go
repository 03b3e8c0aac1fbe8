package redlocktest

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/redtick/redtick/redlock/driver"
)

// ErrRestarted is what batches and subscriptions that were under way get when
// their server restarts.
var ErrRestarted = errors.New("redlocktest: read: connection reset by peer: server restarted")

// Server is the memory and the clock of one Redis. Links to it are made with
// [Server.Node]. It is safe for concurrent use.
type Server struct {
	mu            sync.Mutex // never held while waiting
	data          *keyspace
	scripts       map[string]*lua.FunctionProto
	lua           *interpreter
	clock         clock
	config        map[string]string
	runID, replID string
	frozen        bool
	arrived       []func() // what came while frozen
	subscriptions []*subscription
	nodes         []*Node
	batches       int
	commands      map[string]int
}

// NewServer returns an empty server whose clock is right.
func NewServer() *Server {
	s := &Server{
		config:   map[string]string{"maxmemory-policy": "noeviction", "appendonly": "no"},
		commands: make(map[string]int),
	}
	s.boot()
	s.data = newKeyspace()
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

var ids atomic.Uint64

// newID makes a run or replication id, different each time but not random.
func newID() string {
	sum := sha1.Sum(fmt.Append(nil, ids.Add(1)))
	return hex.EncodeToString(sum[:])
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
// scripts, other ids, not frozen. Whatever was under way fails with
// [ErrRestarted] and is not executed any more.
func (s *Server) Restart() { s.restart(false) }

// RestartWithData is [Server.Restart] by a server that had written all its keys
// to disk. Scripts are lost all the same.
func (s *Server) RestartWithData() { s.restart(true) }

func (s *Server) restart(keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boot()
	if !keep {
		s.data = newKeyspace()
	}
	for _, node := range s.nodes {
		node.breakConnection(ErrRestarted)
	}
}

func (s *Server) boot() {
	s.runID, s.replID = newID(), newID()
	s.scripts = make(map[string]*lua.FunctionProto)
	s.frozen, s.arrived = false, nil
	s.subscriptions = nil
}

// Promote gives the server another replication id, as a replica has after it
// took over from its master.
func (s *Server) Promote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replID = newID()
}

// Freeze stops the process. What reaches it waits, until [Server.Thaw] or for
// ever, also when its sender has given up. The clock goes on.
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
		s.commands[strings.ToUpper(args[0])]++
		replies[i] = s.reply(args)
	}
	return replies
}

// reply runs one command at the server's present time. The caller holds s.mu.
func (s *Server) reply(args []string) driver.Reply {
	s.data.now = s.clock.now().UnixMilli()
	switch reply := s.dispatch(args).(type) {
	case error:
		return driver.Reply{Err: reply}
	default:
		return driver.Reply{Value: plain(reply)}
	}
}

// plain leaves only the types a [driver.Reply] may have.
func plain(reply any) any {
	switch reply := reply.(type) {
	case status:
		return string(reply)
	case failure:
		return string(reply)
	case []any:
		for i := range reply {
			reply[i] = plain(reply[i])
		}
	}
	return reply
}

// Do runs one command right in the server: at once, also while it is frozen,
// over no link and without being counted. It is for looking and for preparing.
func (s *Server) Do(args ...string) driver.Reply {
	if len(args) == 0 {
		return driver.Reply{Err: errEmpty}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reply(args)
}

// Keys lists the keys that are alive, sorted.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.now = s.clock.now().UnixMilli()
	keys := []string{}
	for _, e := range s.data.live(0) {
		keys = append(keys, e.key)
	}
	slices.Sort(keys)
	return keys
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
// not counting what scripts do, since the server was made.
func (s *Server) Commands(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands[strings.ToUpper(name)]
}
