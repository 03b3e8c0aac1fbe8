package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/checkin"
)

// guard runs child while lease is held, then releases the lease.
func (r *running) guard(lease *redlock.Lease, child *child, signals <-chan os.Signal) error {
	if err := child.start(environment(os.Environ(), r.name, lease)); err != nil {
		lease.SetResult(err)
		_ = lease.Unlock(context.Background())
		return err
	}
	lost := attend(context.Background(), lease, child, r.grace, signals)
	if lost != nil {
		say("%q: %v; ending the program", r.name, lost)
		child.end(r.grace)
	}
	lease.SetResult(child.result())
	err := lease.Unlock(context.Background())
	switch {
	case lost != nil:
		return exit(exitLost, nil)
	case errors.Is(err, redlock.ErrLost):
		return exit(exitLost, fmt.Errorf("the program ended (with code %d), but the lease was lost before: %s", child.code(), plain(err)))
	case err != nil:
		say("not every node confirmed the release; on the others the lock expires within its TTL of %v: %s", r.ttl, plain(err))
	}
	if code := child.code(); code != 0 {
		return exit(code, nil)
	}
	return nil
}

var (
	errLeaseLost  = errors.New("the lease is lost")
	errNotRenewed = errors.New("the lease was not renewed in time")
)

// attend forwards signals until the child has ended and returns nil, or returns why
// the child must end: the lease is lost or has only grace left, or halt has ended.
func attend(halt context.Context, lease *redlock.Lease, child *child, grace time.Duration, signals <-chan os.Signal) error {
	for {
		left := time.Until(lease.ValidUntil()) - grace
		if left <= 0 {
			return errNotRenewed
		}
		select {
		case <-child.ended:
			return nil
		case <-lease.Context().Done():
			return errLeaseLost
		case <-halt.Done():
			return context.Cause(halt)
		case s := <-signals:
			child.forward(s)
		case <-time.After(left):
		}
	}
}

// within is the environment variable with the tokens of all runs that a program is
// part of.
const within = "REDTICK_WITHIN"

// isOurs reports whether this process is part of the run with token.
func isOurs(token string) bool {
	return token != "" && slices.Contains(strings.Fields(os.Getenv(within)), token)
}

// environment returns base with the variables that describe the lease.
func environment(base []string, name string, lease *redlock.Lease) []string {
	// An enclosing run, of another name, may have set a tick, a fence and a URL.
	env := slices.DeleteFunc(slices.Clone(base), func(v string) bool {
		return strings.HasPrefix(v, pingVariable+"=") || strings.HasPrefix(v, "REDTICK_TICK=") || strings.HasPrefix(v, "REDTICK_FENCE=")
	})
	env = append(env, "REDTICK_NAME="+name, "REDTICK_TOKEN="+lease.Token(), within+"="+strings.TrimSpace(os.Getenv(within)+" "+lease.Token()))
	if tick := lease.Tick(); !tick.IsZero() {
		env = append(env, "REDTICK_TICK="+instant(tick))
	}
	if fence := lease.Fence(); fence != 0 {
		env = append(env, "REDTICK_FENCE="+strconv.FormatInt(fence, 10))
	}
	return env
}

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

const pingVariable = "REDTICK_PING"

// pings makes the calls of --ping and ping=. The URLs have been checked.
type pings struct{ *checkin.Calls }

func newPings() *pings { return &pings{checkin.New()} }

// around calls the URL at before and after run. If at is "", it only calls run.
func (p *pings) around(at string, lease *redlock.Lease, run func() error) error {
	if at == "" {
		return run()
	}
	_ = p.Call(at, checkin.Start, lease.Token())
	err, step := run(), checkin.Success
	if err != nil {
		step = checkin.Failure
	}
	_ = p.Call(at, step, lease.Token())
	return err
}

// close waits for the last calls, which may be both calls of a run.
func (p *pings) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*checkin.Timeout)
	defer cancel()
	_ = p.Close(ctx)
}
