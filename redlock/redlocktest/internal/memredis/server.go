// Package memredis implements in memory the part of Redis that redlock's scripts and
// tests need: expiring keys, commands and Lua. It has no network; redlocktest adds
// that.
package memredis

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/redtick/redtick/redlock/driver"
)

// ErrEmpty is the answer to no command at all.
var ErrEmpty = errors.New("redlocktest: a command needs a name")

// version is the version of Redis that a server imitates, major and minor in one number.
type version int

const (
	redis62 version = 602
	redis7  version = 700
)

// versions lists the supported versions, with their names in INFO.
var versions = map[string]struct {
	version
	full string
}{
	"5.0": {500, "5.0.14"}, "6.0": {600, "6.0.20"}, "6.2": {redis62, "6.2.14"}, "7.0": {redis7, "7.0.15"},
}

// Versions returns the versions that [Server.Imitate] supports.
func Versions() []string { return slices.Sorted(maps.Keys(versions)) }

// Server is one Redis: its keys, scripts, settings and ids. It is not safe for
// concurrent use.
type Server struct {
	now           func() time.Time
	publish       func(channel, message string) (receivers int64)
	disconnect    func() (subscribers int64)
	data          *keyspace
	scripts       map[string]*lua.FunctionProto
	lua           *interpreter
	config        map[string]string
	runID, replID string
	refusal       refusal
	refuses       bool // what runs now was sent by a client
	dirty         bool // the script that runs has written
	version       version
	fullVersion   string
}

// New returns an empty server. It reads the time from now. It passes messages to
// publish, which returns the number of receivers. disconnect ends the connections of
// all subscribers and returns their number.
func New(now func() time.Time, publish func(channel, message string) int64, disconnect func() int64) *Server {
	s := &Server{
		now:        now,
		publish:    publish,
		disconnect: disconnect,
		config:     map[string]string{"maxmemory-policy": "noeviction", "appendonly": "no"},
	}
	s.Imitate("7.0")
	s.Restart(false)
	return s
}

var ids atomic.Uint64

// newID makes a run or replication id, different each time but not random.
func newID() string {
	sum := sha1.Sum(fmt.Append(nil, ids.Add(1)))
	return hex.EncodeToString(sum[:])
}

// Imitate makes the server answer like a version. It reports whether the version is
// supported.
func (s *Server) Imitate(version string) bool {
	v, known := versions[version]
	if known {
		s.version, s.fullVersion = v.version, v.full
	}
	return known
}

// Restart drops the scripts, and the keys unless they are kept, ends a refusal, and
// makes new ids.
func (s *Server) Restart(keep bool) {
	s.refusal = refusal{}
	s.runID, s.replID = newID(), newID()
	s.scripts = make(map[string]*lua.FunctionProto)
	if !keep {
		s.data = newKeyspace()
	}
}

// Promote makes a new replication id.
func (s *Server) Promote() { s.replID = newID() }

// Serve is like [Server.Do] for a client, which may be refused.
func (s *Server) Serve(args []string) driver.Reply {
	s.refuses = true
	defer func() { s.refuses = false }()
	return s.Do(args)
}

// Do executes one command at the server's current time. It ignores [Server.Refuse].
func (s *Server) Do(args []string) driver.Reply {
	if len(args) == 0 {
		return driver.Reply{Err: ErrEmpty}
	}
	s.data.now = s.now().UnixMilli()
	reply := s.dispatch(args)
	if err, failed := reply.(failure); failed {
		return driver.Reply{Err: err}
	}
	return driver.Reply{Value: plain(reply)}
}

// plain converts a reply to the types of a [driver.Reply].
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

// Keys returns the keys that have not expired, sorted.
func (s *Server) Keys() []string {
	s.data.now = s.now().UnixMilli()
	s.data.sweep()
	return slices.Sorted(maps.Keys(s.data.entries))
}
