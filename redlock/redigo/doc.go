// Package redigo lets redlock vote on nodes reached through redigo.
//
//	locker, err := redlock.New(redigo.Nodes(pool1, pool2, pool3))
//
// Each pool is one node with one vote: a [*redis.Pool], or any [Pool].
//
// # When servers fail over
//
// A Do returns by its context's deadline, also while the pool dials. What did
// not answer by then is closed, and the pool's idle connections are asked for a
// PING: behind a firewall that forgot one connection, others are as dead. A
// server that says READONLY, MASTERDOWN, LOADING or MOVED is left: the pool's idle
// connections are closed, so that a name that was moved is looked up again.
//
// redigo knows neither Sentinel nor Cluster. For Sentinel, the pool's
// DialContext asks the Sentinels for the master each time; see
// docs/compatibility.md. A Cluster needs another driver, also to list its names.
//
// # Limits
//
//   - A pool does not tell where it connects to, so a node is named by its
//     pool's address in memory, which differs from run to run, unless the pool
//     has a String method. Nodes of two pools for the same server are not
//     noticed as duplicates.
//   - A pool with MaxActive needs one connection for redlock; if it has none
//     left, the node counts as unreachable in that round.
//   - A connection that was closed by the server while it was idle fails the
//     round that finds it. TestOnBorrow avoids that, for a round trip each time.
//   - Connections must support a read timeout ([redis.ConnWithTimeout]), as all
//     of redigo's own do.
//   - A Do that was given up while it wrote or dialled holds its connection until
//     the pool's DialWriteTimeout or Dial ends it. Nothing is sent after it. While
//     there are eight of them, another Do is tried once a minute; the others fail.
//
// redigo repeats nothing by itself, and does not know RESP3.
package redigo
