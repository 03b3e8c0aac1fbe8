// Package goredis lets redlock vote on nodes reached through go-redis v9.
//
//	locker, err := redlock.New(goredis.Nodes(rdb1, rdb2, rdb3))
//
// Any [redis.UniversalClient] will do, with its default options: a client of
// one server, of a Sentinel group or of a Cluster is one node with one vote.
//
// # When servers fail over
//
// A Do returns by its context's deadline, also with a client that has no
// ContextTimeoutEnabled. What did not answer by then is not used again, and the
// idle connections of the client are asked for a PING: behind a firewall that
// forgot one connection, others are as dead.
//
// A server that says READONLY, MASTERDOWN, LOADING or MOVED is left: the client's
// idle connections are closed, with QUIT, so that a name that was moved is looked
// up again.
//
// A Cluster's layout is reloaded when a server is gone, which go-redis itself
// does once a minute. While one shard does not answer, its keys are refused at
// once, with a CLUSTERDOWN of the driver's, and the shard is asked every
// 100 ms; names on other shards go on.
//
// # Listing
//
// [Node.Masters] lets package inspect list the names of a whole Cluster or Ring.
// While one of its servers does not answer, a list is an error. Keys that move
// from one server to another meanwhile may be missed.
//
// # Limits
//
//   - For one server or a Sentinel group, hooks of the client are called when it
//     dials, but not for the node's commands.
//   - With ReadOnly, RouteByLatency or RouteRandomly a Cluster client sends votes
//     to masters, but what only reads, such as LastTick, may be answered by a
//     replica, which lags behind.
//   - In a Cluster and a Ring a batch is split by server: commands keep their
//     order per hash slot, not across slots.
//   - Connections through SSH know no deadlines: set ReadTimeout and WriteTimeout to -2, as go-redis' guide says. What a
//     Do has given up then holds its connection until that ends. While there are eight of them, another Do is tried
//     once a minute; the others fail.
//   - With a Cluster, a Ring or a wrapper, what a Do has given up may hold a
//     connection for the client's ReadTimeout (5 s by default) unless the client
//     has ContextTimeoutEnabled. Nothing is sent after the deadline.
//   - A Ring spreads keys and channels over servers that know nothing of each
//     other, so a waiting Lock hears of a release only when both happen to be
//     on one of them. It gets the lock when it asks again.
//   - While a server of a Ring is down, none of its names can be had: go-redis
//     puts the keys on other servers, where what is locked would be free. The
//     servers are those of RingOptions.Addrs; after SetAddrs make a new client.
//   - A wrapper that has a Ring but does not embed it hides it: while one of its
//     servers is down, what is locked may be locked again.
//   - Once as many dials as PoolSize have failed, go-redis dials once a second, for
//     up to DialTimeout (5 s by default), and refuses everything until one
//     succeeds. A node whose host vanished is back that much later than its server.
//   - At maxclients go-redis takes the server's error for that of an old server, and
//     goes on: the node says "broken pipe".
//   - A Sentinel that hangs is waited for, before another is asked, for the client's
//     ReadTimeout (5 s by default), twice with NewFailoverClusterClient.
//   - go-redis does not tell the name of a Sentinel group. Such a node is named
//     by its client's address in memory, which differs from run to run. So is a
//     Cluster client without addresses.
//
// # What is not retried
//
// go-redis repeats what ended in a timeout or a broken connection, three times
// by default, although the server may have executed it. The commands of this
// package opt out, so that a batch is sent at most once whatever MaxRetries
// says, and a hung node is given up after one timeout instead of four. What a
// server certainly did not execute (MOVED, ASK) is still
// sent on. Client-side caching does not apply to them either.
package goredis
