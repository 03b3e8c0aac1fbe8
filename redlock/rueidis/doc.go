// Package rueidis lets redlock vote on nodes reached through rueidis.
//
//	locker, err := redlock.New(rueidis.Nodes(client1, client2, client3))
//
// Each [rueidis.Client] is one node with one vote: one server, a Sentinel
// group or a Cluster. rueidis works with Valkey servers as well. If you use
// valkey-go, a fork of rueidis, create rueidis clients with the same options for
// redlock.
//
// # When servers fail over
//
// A Do returns by its context's deadline. It takes an exclusive connection from the
// client's pool for blocking commands: rueidis may keep a dead shared one for 12 s. A
// connection that did not answer by the deadline is closed, and so is one to a
// server that answers READONLY, MASTERDOWN, LOADING or MOVED, whose subscriptions end
// as well. New connections resolve the host name again.
//
// In a Cluster, the driver reads the layout itself and sends each master its commands
// on such a connection. While one shard does not answer, the driver refuses its keys
// at once with CLUSTERDOWN, probes the shard every 100 ms, and reads the layout a few
// times a second. Names on other shards are not affected.
//
// # Listing
//
// [Node.Masters] lets package inspect list the names of a whole Cluster. Listing
// fails while one of its masters does not answer. It may miss keys that move from
// one master to another during the scan.
//
// # Limits
//
//   - rueidis.NewClient fails when its server is down. A service that must
//     start while one of several nodes is out sets ForceSingleClient; rueidis
//     then returns a client along with the error, which connects when it can.
//   - rueidis learns of a new master from one Sentinel. While that Sentinel hangs
//     without closing its connection, the node stays with the former master and
//     reports READONLY. TopologyRefreshInterval asks the same Sentinel, so it does
//     not help.
//   - The client's pool for blocking commands (BlockingPoolSize) needs one
//     connection for redlock, and one for each subscription.
//   - rueidis does not expose the idle connections of that pool, so only redlock's
//     own are tested and closed. After a failover, each connection of the service's
//     blocking commands may fail a batch. If these commands or ConnLifetime make a
//     Do reconnect, it may outlast its context by the time AuthCredentialsFn takes.
//   - Connections from a custom Dialer must support deadlines. On one that does not,
//     such as one through SSH, a Do may outlast its context for as long as the server
//     hangs.
//   - With BlockingPoolCleanup rueidis closes idle connections while it holds the
//     pool's lock, and waits for silent ones: the node may be out for two seconds.
//   - In a Cluster a batch is split by server: commands keep their order per
//     hash slot, not across slots. Commands without a key are routed as if their
//     first argument were a key.
//   - A subscription may outlast its context by the Dialer's timeout while it
//     connects, and while the pool for blocking commands has no free connection.
//   - rueidis strips "ERR " from server errors. The driver restores it unless the
//     rest begins with a word in capitals, which it takes for an error code, as in
//     "ERR DISCARD without MULTI".
//
// # What is not retried
//
// rueidis retries only commands marked as read-only, and this package marks none.
// Redirects (MOVED, ASK) are still followed, because the server did not execute
// the command. A SendToReplicas function must not send these commands to a
// replica, which has no vote: let it return cmd.IsReadOnly().
package rueidis
