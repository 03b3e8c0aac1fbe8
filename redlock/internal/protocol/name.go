// Package protocol defines what redlock stores in Redis and how: keys, tokens,
// scripts, commands and the decoding of replies. It holds no state.
package protocol

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/quorum"
)

// Mode says how the ticks of a name may be granted.
type Mode string

// The modes.
const (
	InOrder  Mode = "tick"     // at most once, and no tick after a later one
	AnyOrder Mode = "any"      // to one owner, who may claim it again
	Takeover Mode = "takeover" // at least once
)

// Settings are a name's parameters as the scripts take them.
type Settings struct {
	TTL, Retention, MaxSkew, Spacing time.Duration
	Guard                            time.Duration // how long a node that lost its data abstains, the longest TTL; 0 for no guard
	Mode                             Mode
	Fencing                          bool
	History                          int  // how many runs are remembered; 0 for none
	KeepLast                         bool // whether the newest tick granted is remembered for as long as the runs
}

// Parameters are Settings ready to be sent. Names with the same Settings share
// them.
type Parameters struct {
	Settings

	ttl, twoTTLs, guard any // twoTTLs outlasts each copy of a vote and each place in line
	grantedFor, lastFor any // how long the mark of a granted tick lives, with ticks in any order and in order
	runsKept            any // how many

	vote     driver.Command                   // votes on a claim; complete except for the keys, the tick, the token and the owner
	voteArgs int                              // the index of the first argument of vote
	decode   func(driver.Reply) quorum.Answer // decodes a vote
}

// Name is one name: its keys, and its parameters. The keys share a hash slot, so
// that one script may use them together on Redis Cluster.
type Name struct {
	Lock string // the canonical Redlock key, which is the name itself
	Keys
	*Parameters

	lock, last, fence, waiters, pause any // the keys that most commands need, allocated once
}

// GuardKey holds what the restart guard knows of a node. There is one such key per
// server, which is why the guard is not available on Redis Cluster.
const GuardKey = "redtick:guard"

// MaxTTL is the longest TTL allowed.
const MaxTTL = 24 * time.Hour

// LastLifetime is the least time for which the newest tick granted is remembered.
const LastLifetime = 7 * 24 * time.Hour

// NewParameters returns the parameters with these settings.
func NewParameters(s Settings) *Parameters {
	// A finished tick must be remembered until it is too old to be asked for, however far it lay ahead.
	beyond := max(s.Retention, s.Spacing) + s.MaxSkew + time.Second
	p := &Parameters{Settings: s,
		ttl: milliseconds(s.TTL), twoTTLs: milliseconds(2 * s.TTL), guard: milliseconds(s.Guard), runsKept: decimal(int64(s.History)),
		grantedFor: milliseconds(beyond), lastFor: milliseconds(max(LastLifetime, beyond)),
	}
	p.prepareVote()
	return p
}

// Name returns a name with these parameters.
func (p *Parameters) Name(name string) *Name {
	n := &Name{Lock: name, Keys: KeysOf(name), Parameters: p}
	n.lock, n.last, n.waiters, n.pause = n.Lock, n.Last, n.Waiters, n.Pause
	if p.Fencing {
		n.fence = n.Fence
	}
	return n
}

// Keys are a name's companions: all its keys but the lock.
type Keys struct {
	base, Last, Fence, Waiters, Runs, Pause, Resumed string
}

// KeysOf returns the companions of a name. They are parts of one string, because
// a process may have thousands of names.
func KeysOf(name string) Keys {
	k := Keys{base: Companion(name)}
	all := k.base + "last" + k.base + "fence" + k.base + "wait" + k.base + "runs" + k.base + "pause" + k.base + "resumed"
	next := func(kind string) (key string) {
		n := len(k.base) + len(kind)
		key, all = all[:n], all[n:]
		return key
	}
	k.Last, k.Fence, k.Waiters = next("last"), next("fence"), next("wait")
	k.Runs, k.Pause, k.Resumed = next("runs"), next("pause"), next("resumed")
	return k
}

// Tick returns the key of one tick.
func (k Keys) Tick(ms int64) string { return k.tick(decimal(ms)) }

func (k Keys) tick(ms string) string { return k.base + "tick:" + ms }

func (k Keys) dead(token string) string { return k.base + "dead:" + token }

// Claimant returns the token that a field of a tick's key names.
func Claimant(field string) (token string, ok bool) { return strings.CutPrefix(field, "token:") }

func decimal(n int64) string              { return strconv.FormatInt(n, 10) }
func milliseconds(d time.Duration) string { return decimal(d.Milliseconds()) }

// Companion returns the prefix of a name's companion keys. It begins with the name
// itself, so that an access rule for the name's prefix covers the companions, and
// puts them in the name's hash slot. Redis hashes the text between the first '{' and
// the next '}', or the whole key if that text is empty or missing (Redis Cluster
// specification, "Hash tags").
func Companion(name string) string {
	if hashTag(name) != "" {
		return name + ":redtick:"
	}
	return name + ":redtick:{" + name + "}:"
}

// Spellable reports whether a name can have companions in its hash slot: it has a
// hash tag, or no braces.
func Spellable(name string) bool { return hashTag(name) != "" || !strings.ContainsAny(name, "{}") }

const maxName = 1024

// CheckName returns why a name with this prefix cannot be locked, or nil.
func CheckName(prefix, name string) error {
	switch full := prefix + name; {
	case name == "":
		return fmt.Errorf("name is empty, must have 1 to %d bytes with its prefix; it is what the replicas agree on", maxName)
	case len(full) > maxName:
		return fmt.Errorf("name has %d bytes with its prefix, must have 1 to %d; shorten it", len(full), maxName)
	case !Spellable(full):
		return fmt.Errorf("name %.100q has a brace outside of a hash tag; leave braces out, or put {a tag} around the part that decides its Redis Cluster slot", full)
	case IsCompanion(full):
		return fmt.Errorf("name %.100q is a key that redlock keeps for another name; choose another", full)
	}
	return nil
}

// hashTag returns the part of a key that decides its slot, or "" if the whole key does.
func hashTag(key string) string {
	_, after, _ := strings.Cut(key, "{")
	tag, _, closed := strings.Cut(after, "}")
	if !closed {
		return ""
	}
	return tag
}

// IsCompanion reports whether a key belongs to a name other than itself, or to the guard. A lock under it would be taken for that
// name's newest tick, its pause or the like.
func IsCompanion(key string) bool {
	_, kind := Split(key)
	return kind != "" || key == GuardKey
}

// companions are the kinds of a name's companions.
var companions = []string{"last", "fence", "runs", "pause", "resumed", "wait", "tick", "dead"}

// Split returns the name that a companion key belongs to and the kind of companion.
// For any other key both are "".
func Split(key string) (name, kind string) {
	const mark = ":redtick:"
	for end := 0; ; end++ {
		next := strings.Index(key[end:], mark)
		if next < 0 {
			return "", ""
		}
		end += next
		rest, found := strings.CutPrefix(key, Companion(key[:end]))
		if kind, _, _ = strings.Cut(rest, ":"); found && slices.Contains(companions, kind) {
			return key[:end], kind
		}
	}
}
