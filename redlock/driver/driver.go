// Package driver defines what a driver for package redlock implements: one
// method that sends a pipeline of raw Redis commands.
//
//	type Node struct{ client *someclient.Client }
//
//	func (n *Node) Do(ctx context.Context, commands []driver.Command) []driver.Reply {
//		// send all commands as one pipeline; return one reply per command, in order
//	}
//
//	locker, err := redlock.New([]driver.Node{&Node{client}})
//
// redlocktest.TestNode checks an implementation, and package redigo is the
// shortest example. A driver needs no retries, no time limits and no handling
// of NOSCRIPT: the core does all three.
//
// Turn the client's retries off: a command that is sent again may be executed
// twice, the second time after its own release. When a server answers READONLY,
// MASTERDOWN or LOADING, close the connections to it: once a host name has moved,
// only a new connection leads to the new primary.
package driver

import (
	"context"
	"strings"
)

// Command is one raw Redis command: its name, then its arguments. Every element
// is a string. The element type is any because most clients take []any, so a
// driver need not copy the slice.
//
// Several nodes share one Command, so a driver must not change it.
type Command []any

// Reply is what a node answered to one [Command].
//
// Value is nil (Redis' null), an int64, a string, or a []any of these. Err is
// either the server's error reply, its text unchanged and its code first
// ("NOSCRIPT …", "READONLY …"), or the reason why no reply came, which must not
// look like a server's error: see [ErrorCode].
//
// A null is not an error: a driver translates its client's "nil" error into a nil
// Value. A nil Value must never stand for a missing reply, because the null that
// answers SET NX GET is a granted vote.
type Reply struct {
	Value any
	Err   error
}

// ErrorCode returns the code, in capitals, that a server's error reply begins with.
// It returns "" if err is nil or not from the server.
func ErrorCode(err error) string {
	if err == nil {
		return ""
	}
	code, _, more := strings.Cut(err.Error(), " ")
	if !more || code == "" || code != strings.ToUpper(code) || code[0] < 'A' || code[0] > 'Z' || strings.HasSuffix(code, ":") {
		return ""
	}
	return code
}

// Answered reports whether a [Reply] whose Err is err came from the server.
func Answered(err error) bool { return err == nil || ErrorCode(err) != "" }

// Node is one independent Redis deployment with one vote: a single server, a
// Sentinel group or a Cluster.
//
// Do sends commands as one pipeline, in order, on one connection, and returns
// one Reply for each, in the same order. It returns once all replies are there
// or no more can come; the missing ones then carry the error. It must not
// reorder commands, and it must be safe for concurrent use.
//
// The context carries a deadline, which a driver passes to its client. The core
// does not rely on it: while a Do runs, later commands for that node wait, and
// each caller applies its own time limit.
//
// If a Node implements [fmt.Stringer], errors and events use the result as its
// name. It should be the server's address, without a password. Two nodes with the
// same name are rejected as duplicates.
type Node interface {
	Do(ctx context.Context, commands []Command) []Reply
}

// Subscriber is an optional interface of a [Node], through which a release wakes
// a waiting Lock. Without it, Lock polls after a back-off, or when the holder's
// lease must have expired.
//
// Subscribe listens to channel until ctx ends or the connection is lost, and
// returns a non-nil error. It calls ready once the subscription is active, then
// deliver for every message. Neither function blocks.
type Subscriber interface {
	Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error
}

// Punctual is an optional interface of a [Node]. If Punctual returns true, a sole
// caller runs Do in its own goroutine. Handing the command to another goroutine
// costs as much as half a round trip to a nearby server.
type Punctual interface {
	// Punctual reports whether Do returns by its context's deadline, whatever
	// happens.
	Punctual() bool
}

// Cluster is an optional interface of a [Node], for listing the keys of a whole
// Redis Cluster. Do would list those of one master only.
type Cluster interface {
	// Masters returns a node for each master, or none if the client's server is
	// not a cluster. It fails if it does not know every master, because a list
	// that lacks one master's keys would look complete.
	Masters(ctx context.Context) ([]Node, error)
}
