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
// shortest one to read. A driver needs no retries, no time limits and no handling
// of NOSCRIPT: the core has its own.
//
// Turn the client's retries off. A command that is sent again may be executed
// twice, the second time after its own release. And leave a server that answers
// READONLY, MASTERDOWN or LOADING, by closing the connections to it: when a
// name has moved, only a new connection leads to the new primary.
package driver

import (
	"context"
	"strings"
)

// Command is one raw Redis command: its name, then its arguments. Every
// element is a string; the element type is any because most clients take that,
// so no driver has to copy the slice.
//
// Several nodes share one Command. A driver must not change it.
type Command []any

// Reply is what a node answered to one [Command].
//
// Value is nil (Redis' null), an int64, a string, or a []any of these. Err is
// either the server's error reply, its text unchanged and its code first
// ("NOSCRIPT …", "READONLY …"), or the reason why no reply came, which must not
// look like that: see [ErrorCode]. A null is not an error: a driver translates its
// client's "nil" error into a nil Value. It never stands for a missing reply,
// because the null that answers SET NX GET is a granted vote.
type Reply struct {
	Value any
	Err   error
}

// ErrorCode returns the code in capitals that the error of a [Reply] begins with
// if it is the server's, or "" if there is no error or it is the client's own.
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

// Answered reports whether a reply with this error, if any, came from the server.
func Answered(err error) bool { return err == nil || ErrorCode(err) != "" }

// Node is one independent Redis deployment with one vote: a single server, a
// Sentinel group or a Cluster.
//
// Do sends commands as one pipeline, in order, on one connection, and returns
// one Reply for each, in the same order. It returns once all replies are there
// or no more can come; the missing ones then carry the error. It must not
// reorder commands, and it must be safe for concurrent use.
//
// The context carries a deadline, which a driver hands to its client. The core
// does not rely on it: while a Do is running, later commands for that node
// wait, and every caller keeps its own time limit.
//
// A Node that implements [fmt.Stringer] is named by it in errors and events.
// The text should be the server's address, without a password. Two nodes of
// one name are refused as duplicates.
type Node interface {
	Do(ctx context.Context, commands []Command) []Reply
}

// Subscriber is an optional interface of a [Node], by which a release wakes a
// waiter. Without it a waiting Lock asks again after a back-off, or when the
// holder's lease must have expired.
//
// Subscribe listens to channel until ctx ends or the connection is lost, and
// returns the reason, never nil. It calls ready once the subscription is active,
// and then deliver for every message. Neither call blocks.
type Subscriber interface {
	Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error
}

// Punctual is an optional interface of a [Node]. If Punctual returns true, a lone
// caller sends its command itself. To hand it to another goroutine costs as much
// as half a round trip to a server nearby.
type Punctual interface {
	// Punctual reports whether Do returns by its context's deadline, whatever
	// happens.
	Punctual() bool
}

// Cluster is an optional interface of a [Node], by which an operator lists the
// keys of a Redis Cluster. Do would look for them on only one of its masters.
type Cluster interface {
	// Masters returns a node for each master, or none when the client's server
	// is not a cluster. It fails when it does not know every master, because a
	// list without the keys of one would look complete.
	Masters(ctx context.Context) ([]Node, error)
}
