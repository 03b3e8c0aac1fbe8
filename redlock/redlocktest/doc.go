// Package redlocktest provides in-memory nodes with fault injection, and the
// conformance suite for drivers.
//
// A [Server] is the memory of one Redis, and a [Node] is one client's link to it.
// They run the real text of redlock's scripts. They wait only on channels and
// timers, so a test may put servers, nodes and lockers into a [testing/synctest]
// bubble, where hours pass in microseconds:
//
//	synctest.Test(t, func(t *testing.T) {
//		servers := redlocktest.Servers(5)
//		locker, err := redlock.New(redlocktest.Nodes(servers, "replica-1"))
//		…
//		servers[0].Freeze()
//	})
//
// Create servers and nodes inside the bubble that uses them.
//
// [TestNode] is the conformance suite.
//
// # Limits
//
//   - It is not Redis. It has the commands that redlock sends and those with which
//     tests look around. Other commands are refused as unknown, and so are options
//     that it does not implement. SCAN reads patterns as [path.Match] does. There is
//     one database, and there are no transactions, no memory limit and no lagging
//     replicas.
//   - Scripts run in an interpreter written in Go. Redis' errors for a failed
//     command are exact, Lua's errors for a mistake in the script are not. ".."
//     formats numbers as Lua 5.1 does only up to 14 digits, and text with leading
//     zeros is not a decimal number.
//   - Two batches that reach one server at the same instant may arrive in either
//     order. The delays of one link repeat for the same sequence of batches.
package redlocktest
