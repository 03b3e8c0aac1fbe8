package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redtick/redtick/redlock"
)

// leasing holds the flags about leases.
type leasing struct {
	ttl, grace time.Duration
}

func (l *leasing) flags(f *pflag.FlagSet) {
	f.DurationVar(&l.ttl, "ttl", redlock.DefaultTTL, "how long a lease lives without renewal: what a crash costs the others (20ms to 24h)")
	f.DurationVar(&l.grace, "grace", 5*time.Second, "from SIGTERM to SIGKILL when the lease is lost; at most ttl/2, by default 5s but no more than ttl/6")
}

func (l *leasing) check(c *cobra.Command) error {
	if l.ttl < 20*time.Millisecond || l.ttl > day {
		return usage("--ttl is %v, must be 20ms to 24h; a long program needs no long TTL, because leases are renewed", l.ttl)
	}
	if !c.Flags().Changed("grace") {
		l.grace = min(l.grace, l.ttl/6)
	}
	if l.grace < 0 || l.grace > l.ttl/2 {
		return usage("--grace is %v, must be 0 to %v, half of --ttl: the program gets SIGTERM that long before the lease ends, and renewal needs time, too", l.grace, l.ttl/2)
	}
	return nil
}
