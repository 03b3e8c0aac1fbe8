// Package demo runs the shows of the examples: replicas of one program as
// processes of their own, with clocks apart, on an embedded Redis or real
// ones; a view of every tick; and a ledger that judges them.
//
// It is stage machinery and no part of redtick: nothing in it is promised, and
// nothing in it is needed to use redtick. What a user would copy stands in a
// file of its own in each example.
//
// # How an example uses it
//
// [Main] is called by the example's main. In the parent it opens the nodes,
// starts the program again once per replica, watches, kills one replica half
// way, and ends the process with the verdict. In such a replica it calls
// Demo.Replica, which starts the schedule, calls [Replica.Ready], waits until
// its context ends, and stops the schedule. Each run of a job calls
// [Replica.Work].
//
// # What the verdict rests on
//
// The ticks to expect come from the parent's clock and the schedule, so a tick
// that nobody ran is missed even if nobody says so. Runs are counted twice: the
// replica reports each through its standard output, and appends a line to a
// file that is no part of any lock. Where the two differ the larger counts, and
// the show has failed.
package demo
