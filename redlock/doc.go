// Package redlock provides distributed locks and once-per-tick claims. A majority
// of N independent Redis nodes decides them.
//
//	locker, err := redlock.New(goredis.Nodes(client1, client2, client3))
//
//	m, err := locker.NewMutex("report")
//	err = m.Do(ctx, func(ctx context.Context) error { … }) // one process at a time; ctx ends when the lease is lost
//
//	job, err := locker.NewJob("nightly")
//	err = job.Run(ctx, tick, func(ctx context.Context) error { … }) // one process per tick, which is a scheduled instant
//	if errors.Is(err, redlock.ErrTickDone) || errors.Is(err, redlock.ErrTaken) { … } // another process ran it, or does
//
// # What it does not promise
//
// A lease is a promise about time, so it rests on clocks. The rates at which the
// nodes' clocks advance must not differ by more than the drift fraction. What the
// clocks show does not matter to locks. To claims it matters only where a tick is
// compared with the retention and the max skew.
//
// Nodes must keep their data. A node that restarts empty, or a replica that is
// promoted without the last writes, may vote twice. If such votes make a majority,
// two leases of one name exist until the first is due for renewal. Set appendonly
// yes and appendfsync always, or use [WithRestartGuard].
//
// A process that is paused (garbage collection, SIGSTOP, a suspended virtual
// machine) past the end of its lease cannot notice until it resumes. Check
// [Lease.ValidUntil] right before a side effect, or have the protected resource
// refuse old fences; see [Lease.Fence].
//
// A single Redis, Sentinel group or Cluster is one node with one vote: while it
// is down there is no quorum, and a failover inside it may lose votes.
//
// A tick runs at most once. If its claimer dies, the tick is spent, unless
// [WithTakeover] makes it run at least once.
//
// # What it does
//
//  1. A [Mutex] is a name. To acquire it, every node is sent SET name token NX
//     PX ttl at once, with a fresh random token (the canonical Redlock form).
//  2. The lease is granted once n/2+1 nodes said yes within its validity, which is
//     the TTL less the drift, counted from before the first command was sent.
//  3. Otherwise every node that said yes, or still may, is released in the
//     background, and the error says why: another owner has a majority
//     ([ErrTaken]), or no majority answered ([ErrNoQuorum]). A split vote, which
//     gives nobody a majority, is repeated, on one node first.
//  4. A lease is renewed every third of its TTL until [Lease.Unlock], which
//     compares and deletes. Its context ends when it is lost, by a local timer.
//
// A [Job.Claim] adds two keys. One per tick holds the owner and outlives the run,
// so that even a very short job runs only once. The other holds the newest tick
// granted and only grows.
//
// All commands for a node go through one queue, one batch at a time. So a release
// never overtakes its acquire, a hung node costs neither latency nor connections,
// and concurrent callers share round trips.
//
// The lock is described at https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/,
// its limits by Martin Kleppmann, "How to do distributed locking" (2016), and
// Salvatore Sanfilippo, "Is Redlock safe?" (2016).
package redlock

// Maintainers: docs/design.md has the reading order. Starting points are
//   - for taking back a losing vote: round.abort, and Poll.GiveUp in internal/quorum
//   - for keeping a release that a node answered with BUSY: Pipeline.keep in internal/pipeline
//   - for waking a waiter: internal/protocol/lua/wake.lua, and Queue.notify in internal/waitqueue
