// Package goredis lets redlock vote on nodes reached through go-redis v9.
//
//	locker, err := redlock.New(goredis.Nodes(rdb1, rdb2, rdb3))
//
// Any [redis.UniversalClient] will do, with its default options: a client of
// one server, of a Sentinel group or of a Cluster is one node with one vote.
//
// # Limits
//
//   - Without ContextTimeoutEnabled go-redis does not look at a context while
//     it reads. A Do to a server that hangs then lasts for the client's
//     ReadTimeout (5 s by default), whatever the context says. Callers of
//     redlock do not wait for it, each has a limit of its own.
//   - When a connection breaks in the middle of a batch, go-redis marks the
//     whole batch as failed, also the commands that were already answered.
//   - In a Cluster and a Ring a batch is split by server: commands keep their
//     order per hash slot, not across slots.
//   - A Ring spreads keys and channels over servers that know nothing of each
//     other, so a waiting Lock hears of a release only when both happen to be
//     on one of them. It gets the lock when it asks again.
//   - A subscription to a server that vanished without closing its connection
//     ends only with the connection's keep-alive.
//   - go-redis does not tell the name of a Sentinel group. Such a node is named
//     by its client's address in memory, which differs from run to run.
//
// # What is not retried
//
// go-redis repeats what ended in a timeout or a broken connection, three times
// by default, although the server may have executed it. The commands of this
// package opt out, so that a batch is sent at most once whatever MaxRetries
// says, and a hung node is given up after one timeout instead of four. What a
// server certainly did not execute (MOVED, ASK, a Cluster's READONLY) is still
// sent on. Client-side caching does not apply to them either.
package goredis
