// Package rueidis lets redlock vote on nodes reached through rueidis.
//
//	locker, err := redlock.New(rueidis.Nodes(client1, client2, client3))
//
// Each [rueidis.Client] is one node with one vote: one server, a Sentinel
// group or a Cluster. rueidis speaks to Valkey servers as well. If you use
// valkey-go, the same client under another name, make rueidis clients with the
// same options for redlock: the servers cannot tell them apart.
//
// # When servers fail over
//
// A Do returns by its context's deadline. For one server or a Sentinel group it
// uses a connection of its own from the client's pool for blocking commands. What
// did not answer by the deadline is closed, and so is a connection to a server
// that says READONLY, MASTERDOWN, LOADING or MOVED, so that a name that was moved
// is looked up again.
//
// A Cluster's shared connections are used for 12 s only for names that they did
// answer, or whose PING they answer since, once one of them left a command
// unanswered. That is how long rueidis may keep a dead one. Other names get
// connections of their own, 16 at most. While one
// shard does not answer, its keys are refused at once, with a CLUSTERDOWN of the
// driver's, and the shard is asked every 100 ms; names on other shards go on.
//
// # Listing
//
// [Node.Masters] lets package inspect list the names of a whole Cluster. While
// one of its masters does not answer, a list is an error. Keys that move from one
// master to another meanwhile may be missed.
//
// # Limits
//
//   - rueidis.NewClient fails when its server is down. A service that must
//     start while one node of several is out sets ForceSingleClient; rueidis
//     then returns a client beside the error, and it connects when it can.
//   - rueidis learns from one Sentinel that the master has moved. While that one
//     hangs, rather than ends, the node stays with the former master and says
//     READONLY. TopologyRefreshInterval does not help, as it asks the same one.
//   - The client's pool for blocking commands (BlockingPoolSize) needs one
//     connection for redlock, and one for each subscription.
//   - rueidis does not tell what lies idle in that pool, so only redlock's own
//     connections are tested and left. Each one of the service's own blocking
//     commands may cost a batch after a failover. If they or ConnLifetime make a Do
//     connect again, it may outlast its context by what AuthCredentialsFn takes.
//   - Connections of the Dialer's must heed deadlines, which those through SSH do not: on one a Do may outlast its
//     context for as long as the server hangs.
//   - With BlockingPoolCleanup rueidis closes idle connections under the lock of that
//     pool, and waits for those that went silent: up to two seconds without a node.
//   - In a Cluster a batch is split by server: commands keep their order per
//     hash slot, not across slots. Commands without a key go where their first
//     argument would as a key.
//   - A context that ends gives the batch up, not the commands: what was already
//     handed to the connection is still executed, in order.
//   - A subscription that connects may outlast its context by the Dialer's timeout,
//     and one that finds the pool for blocking commands empty by as long as it is.
//   - rueidis cuts "ERR " off the errors of a server. It is put back before a
//     text that does not start with another error code, all capitals; a text
//     such as "ERR DISCARD without MULTI" stays without.
//
// # What is not retried
//
// rueidis repeats only what is marked as read-only, and the commands of this
// package are not. What a server certainly did not execute (MOVED, ASK) is
// still sent on. A client with SendToReplicas must not send them to a replica,
// which has no vote: cmd.IsReadOnly() is a good condition.
package rueidis
