// Command redtick shows what a fleet's Redis nodes hold, operates its jobs, and
// runs any program under a lease, or a whole crontab. "redtick --help" is the
// manual.
package main

import "os"

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }
