package redlock

import "context"

// Command is one raw Redis command: its name, then its arguments. Every
// element is a string; the element type is any because that is what most
// clients take, so no driver has to copy the slice.
//
// A Command is shared by all nodes of a round. Drivers must not change it.
type Command []any

// Reply is what one node answered to one [Command].
//
// Value is nil (Redis' null), an int64, a string, or a []any of these. Err is
// either what the server answered, with its text unchanged and its error code
// first ("NOSCRIPT …", "READONLY …"), or the reason why no answer came. A null
// is not an error: drivers translate their client's "nil" error into a nil
// Value.
type Reply struct {
	Value any
	Err   error
}

// Node is one independent Redis deployment with one vote: a single server, a
// Sentinel group or a Cluster. It is the only thing a driver has to implement.
//
// Do sends commands as one pipeline, in order, on one connection, and returns
// one Reply for each, in the same order. It returns when all replies are there
// or when it is certain that no more will come; the missing ones then carry
// the error. It must not run commands out of order.
//
// The context carries a deadline. A driver hands it to its client, but the
// core does not rely on it: while a Do is running, everything else for that
// node waits in line, and every caller keeps its own time limit. A driver
// needs no NOSCRIPT handling, time limits or retries of its own.
//
// The core calls Do of one Node from one goroutine at a time.
//
// A Node that also implements [fmt.Stringer] is named by it in errors and
// events; two nodes with the same name are refused as duplicates, so the text
// should be the server's address, without a password.
type Node interface {
	Do(ctx context.Context, commands []Command) []Reply
}

// Subscriber is implemented by nodes that can listen to a channel. It is
// optional: without it a waiting Lock still learns when the holder's lease
// ends, but not that it was given back early, and asks again after a back-off.
//
// Subscribe listens to channel until ctx ends or the connection is lost, and
// returns the reason. It calls ready once, as soon as the subscription stands,
// and then deliver for every message. Neither call blocks.
type Subscriber interface {
	Subscribe(ctx context.Context, channel string, ready func(), deliver func(message string)) error
}
