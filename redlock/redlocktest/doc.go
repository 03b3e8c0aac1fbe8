// Package redlocktest has in-memory nodes that misbehave on command, and the
// conformance suite for drivers.
//
// What it does not promise:
//
//   - It is not Redis. It knows the commands redlock sends and those a test
//     needs to look around; any other is refused as unknown, and so is an
//     option of a known command that it does not implement. There is one
//     database, no transactions, no memory limit, no replica that lags.
//   - Scripts run in an interpreter written in Go. What Redis says about a
//     failed command is repeated word for word, what Lua says about a
//     mistake in the script is not. Numbers joined to a string with ".."
//     are printed as Lua 5.1 does only when they have at most 14 digits, and
//     text with leading zeros is no decimal number.
//   - Order between links is the scheduler's. One link repeats its delays when
//     it sees the same batches again; two batches that reach one server at the
//     same instant may arrive in either order.
//
// What it is for: a [Server] is the memory of one Redis, a [Node] is one
// client's link to it. The scripts are run from their real text. All waiting is
// done on channels and timers, so a test may put servers, nodes and lockers into
// a [testing/synctest] bubble and let hours pass in microseconds:
//
//	synctest.Test(t, func(t *testing.T) {
//		servers := redlocktest.Servers(5)
//		locker, err := redlock.New(redlocktest.Nodes(servers, "replica-1"))
//		…
//		servers[0].Freeze()
//	})
//
// Make servers and nodes inside the bubble that uses them.
//
// [TestNode] is what every driver has to pass.
package redlocktest
