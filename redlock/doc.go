// Package redlock is a lock and a once-per-tick claim, voted on by N
// independent Redis nodes.
//
//	locker, err := redlock.New(goredis.Nodes(client1, client2, client3))
//
//	m, err := locker.NewMutex("report")
//	err = m.Do(ctx, func(ctx context.Context) error { … }) // one process at a time; ctx ends when the lease is lost
//
//	job, err := locker.NewJob("nightly")
//	err = job.Run(ctx, tick, func(ctx context.Context) error { … }) // one process per tick, a scheduled instant
//	if errors.Is(err, redlock.ErrTickDone) || errors.Is(err, redlock.ErrTaken) { … } // another process ran it, or does
//
// # What it does not promise
//
// A lease is a promise about time, so it rests on clocks. The nodes' clocks
// must advance at rates that differ by no more than the drift fraction. For locks
// it does not matter what they show. For claims it matters only against the
// retention and the max skew.
//
// Nodes must keep their data. A node that restarts empty, or a replica that is
// promoted without the last writes, may vote twice. If such votes make a majority,
// two leases of one name exist until the first is due for renewal. Use
// appendonly with appendfsync always, or [WithRestartGuard].
//
// A process that is paused (garbage collection, SIGSTOP, a suspended virtual
// machine) past the end of its lease does not notice before it goes on. Check
// [Lease.ValidUntil] right before a side effect, or let the protected resource
// refuse old fences: [Lease.Fence], which for a claim is the tick.
//
// A single Redis, Sentinel group or Cluster is one node with one vote: when it
// is down there is no quorum, and a failover inside it may lose votes.
//
// A claim runs at most once. When its claimer dies, the tick is spent, unless
// [WithTakeover] makes it at least once.
//
// # What it does
//
//  1. A [Mutex] is a name. To acquire it, every node is sent SET name token NX
//     PX ttl at once, with a fresh random token (the canonical Redlock form).
//  2. The lease is granted once n/2+1 nodes said yes, unless its validity has
//     ended: the TTL less the drift, from before the first command was sent.
//  3. Otherwise every node that said yes, or still may, is released in the
//     background, and the error says why: another owner has a majority
//     ([ErrTaken]), or no majority answered ([ErrNoQuorum]). If the vote was
//     split, so that nobody has a majority, it is repeated on one node first.
//  4. A lease is renewed every third of its TTL until [Lease.Unlock], which
//     compares and deletes. Its context ends when it is lost, by a local timer.
//
// A [Job.Claim] adds two keys. One per tick holds the owner and is kept after the
// run, so that the tick is not run a second time however short the job was. The
// other holds the newest tick granted and only grows.
//
// All commands for a node go through one queue, one pipeline at a time. So a
// release never overtakes its acquire, a hung node costs neither latency nor
// connections, and concurrent callers share round trips.
//
// The lock is described at https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/,
// its limits by Martin Kleppmann, "How to do distributed locking" (2016), and
// Salvatore Sanfilippo, "Is Redlock safe?" (2016).
package redlock

// For those who change it: docs/design.md has the order to read in. Look for
//   - where a losing vote is taken back at round.abort, and at Poll.GiveUp in internal/quorum
//   - where a release is kept for a node that answered BUSY at Pipeline.keep in internal/pipeline
//   - where a waiter is woken at internal/protocol/lua/wake.lua, and at Queue.notify in internal/waitqueue
