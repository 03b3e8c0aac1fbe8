// Command redtick shows who holds what on a fleet's Redis nodes, and runs any
// program under a lease, or a whole crontab.
//
// It shows what the nodes held a moment ago; by the time it is read that may
// have changed. And "redtick run" cannot protect what a program has sent out
// before it was ended: see "redtick run --help".
//
// "redtick --help" is the manual.
package main

import "os"

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }
