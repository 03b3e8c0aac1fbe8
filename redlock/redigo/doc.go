// Package redigo lets redlock vote on nodes reached through redigo.
//
//	locker, err := redlock.New(redigo.Nodes(pool1, pool2, pool3))
//
// Each pool is one node with one vote: a [*redis.Pool], or any [Pool].
//
// # When servers fail over
//
// A Do returns by its context's deadline, even while the pool dials. A connection
// that did not answer by then is closed, and the pool's idle connections are
// tested with PING: a firewall that forgot one connection has probably forgotten
// others. When a server answers READONLY, MASTERDOWN, LOADING or MOVED, subscriptions
// end and the pool's idle connections are closed. New connections resolve the host
// name again.
//
// redigo supports neither Sentinel nor Cluster. For Sentinel, let the pool's
// DialContext ask the Sentinels for the master each time; see
// docs/compatibility.md. A Cluster needs another driver, for listing as well.
//
// # Limits
//
//   - A pool does not expose its server's address. Unless the pool has a String
//     method, its node is named after the pool's address in memory, which differs
//     from run to run, and two pools for one server are not detected as duplicates.
//   - A pool with MaxActive needs one connection for redlock, and two more for
//     subscriptions if it is not a [*redis.Pool] itself; when none is free, the
//     node counts as unreachable in that round, and leases may be lost.
//   - An idle connection that the server has closed fails the commands that use it,
//     and redlock sends them again. TestOnBorrow avoids that, at the cost of a round
//     trip each time.
//   - Connections must support a read timeout ([redis.ConnWithTimeout]), as all
//     of redigo's own do.
//   - A Do that times out while it writes or dials holds its connection until the
//     pool's DialWriteTimeout or Dial ends it. Nothing more is sent on it. While
//     eight are held, one Do a minute is tried and the others fail.
//
// redigo does not retry commands, and does not support RESP3.
package redigo
