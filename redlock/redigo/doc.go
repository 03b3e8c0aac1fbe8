// Package redigo lets redlock vote on nodes reached through redigo.
//
//	locker, err := redlock.New(redigo.Nodes(pool1, pool2, pool3))
//
// Each [redis.Pool] is one node with one vote.
//
// # Limits
//
//   - A pool does not tell where it connects to, so a node is named by its
//     pool's address in memory, which differs from run to run. Nodes of two
//     pools for the same server are not noticed as duplicates.
//   - A context's deadline bounds the wait for each reply, in place of the
//     pool's DialReadTimeout; a cancelled context does not interrupt it. Writing
//     is bounded by DialWriteTimeout only, and dialling by what the pool's own
//     Dial or DialContext does.
//   - A pool with MaxActive needs one connection for redlock; if it has none
//     left, the node counts as unreachable in that round.
//   - A connection that was closed by the server while it was idle fails the
//     round that finds it. TestOnBorrow avoids that, for a round trip each time.
//   - Connections must support a read timeout ([redis.ConnWithTimeout]), as all
//     of redigo's own do.
//   - A subscription to a server that vanished without closing its connection
//     ends only with the connection's keep-alive.
//
// redigo repeats nothing by itself, and knows neither Cluster nor RESP3.
package redigo
