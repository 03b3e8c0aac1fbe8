// Package demo runs the demos of the examples. It starts replicas of one program as
// processes whose clocks differ, on embedded or real Redis nodes, shows every tick, and
// checks that each was run once.
//
// It is not part of redtick: its API is not stable, and redtick does not need it. In
// each example, the code for users to copy is in a file of its own.
//
// # How an example uses it
//
// The example's main calls [Main]. In the parent process, Main opens the nodes, starts
// the program again once per replica, watches the replicas, kills one half way, and
// exits with the verdict. In a replica, Main calls Demo.Replica, which starts the
// schedule, calls [Replica.Ready], waits until its context is done, and stops the
// schedule. Each run of a job calls [Replica.Work].
//
// # How the verdict is reached
//
// The expected ticks come from the parent's clock and the schedule, so a tick that no
// replica mentions counts as missed. Runs are counted twice: the replica reports each
// on its standard output, and appends a line to a file. If the two differ, the larger
// one counts and the demo has failed.
package demo
