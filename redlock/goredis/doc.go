// Package goredis lets redlock vote on nodes reached through go-redis v9.
//
//	locker, err := redlock.New(goredis.Nodes(rdb1, rdb2, rdb3))
//
// Any [redis.UniversalClient] will do, with its default options. A client of
// one server, of a Sentinel group or of a Cluster is one node with one vote.
//
// # When servers fail over
//
// A Do returns by its context's deadline, even if the client does not set
// ContextTimeoutEnabled. A connection that did not answer by then is not used
// again, and the client's idle connections are tested with PING: a firewall that
// forgot one connection has probably forgotten others.
//
// When a server answers READONLY, MASTERDOWN, LOADING or MOVED, subscriptions end (not
// those of a Ring), and the client's idle connections are closed with QUIT. New
// connections resolve the host name again.
//
// In a Cluster and a Ring, the driver asks the client which server owns a key, and
// sends that server's commands to it. While one server does not answer, the driver
// refuses its keys at once with CLUSTERDOWN and probes it every 100 ms. Names on other
// servers are not affected. Meanwhile a Cluster's layout is reloaded a few times a
// second; go-redis itself reloads it once a minute.
//
// # Listing
//
// [Node.Masters] lets package inspect list the names of a whole Cluster or Ring.
// Listing fails while one of its servers does not answer. It may miss keys that
// move from one server to another during the scan.
//
// # Limits
//
//   - The client's hooks are called when it dials, but not for the node's commands,
//     unless the client is a wrapper or a Cluster redirects a command.
//   - In a Cluster and a Ring a batch is split by server: commands keep their
//     order per hash slot, not across slots.
//   - Connections through SSH do not support deadlines: set ReadTimeout and
//     WriteTimeout to -2, as go-redis' guide says. A Do that timed out then holds
//     its connection until the connection ends. While eight are held, one Do a
//     minute is tried and the others fail.
//   - With a wrapper, a Do that timed out may hold a connection for the client's
//     ReadTimeout (3 s by default, in newer versions 5 s) unless the client has
//     ContextTimeoutEnabled. Nothing is sent after the deadline.
//   - A Ring spreads keys and channels over independent servers, so a waiting Lock
//     is notified of a release only if the key and the channel happen to be on the
//     same server. Otherwise it gets the lock when it polls again.
//   - While a server of a Ring is down, the node refuses every name: go-redis would
//     move the keys to other servers, where a held lock appears free. The servers
//     are those of RingOptions.Addrs; after SetAddrs make a new client.
//   - A wrapper that contains a Ring without embedding it hides it from this check:
//     while one of its servers is down, a held lock may be granted again.
//   - Once PoolSize dials have failed, go-redis dials once a second, for up to
//     DialTimeout (5 s by default), and refuses everything until one succeeds. A
//     node whose host vanished comes back that much later than its server.
//   - At maxclients go-redis mistakes the server's error for that of an old server
//     and goes on; the node reports "broken pipe".
//   - A Sentinel that hangs delays the next one by the client's ReadTimeout, or
//     twice that with NewFailoverClusterClient.
//   - go-redis does not expose the name of a Sentinel group, so such a node is named
//     after its client's address in memory, which differs from run to run. The same
//     holds for a Cluster client without addresses.
//
// # What is not retried
//
// After a timeout or a broken connection go-redis repeats a command, three times
// by default, although the server may have executed it. The commands of this
// package opt out: a batch is sent at most once whatever MaxRetries says, and a
// hung node costs one timeout instead of four. Redirects (MOVED, ASK) are still
// followed, because the server did not execute the command. Client-side caching
// does not apply to these commands.
package goredis
