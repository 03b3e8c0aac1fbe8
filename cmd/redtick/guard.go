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

	"github.com/redtick/redtick/redlock"
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
