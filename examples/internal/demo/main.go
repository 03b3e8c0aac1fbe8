package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Demo describes a demo.
type Demo struct {
	// Schedule names what the replicas have in common, such as "gocron schedule".
	Schedule string
	// Explain returns a line on how the demo locks. It is called after the flags are
	// parsed.
	Explain func() string
	// Jobs are the jobs of the schedule. -ticks and the last line of output count the
	// ticks of the first one.
	Jobs []Job
	// Replica starts the schedule, calls Ready, waits until ctx is done, and stops the
	// schedule.
	Replica func(ctx context.Context, r *Replica) error
}

// Main runs the demo. It returns if every tick was run exactly once. Otherwise, or after
// any error, it exits with status 1, and with 2 for wrong flags. An example must define
// its own flags before.
func Main(d Demo) {
	o, err := parseFlags(d, flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if text := os.Getenv(replicaEnv); text != "" {
		err = runReplica(d, text)
	} else {
		err = playUntilSignal(d, o)
	}
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// playUntilSignal stops cleanly at the first signal; a second one ends the
// process at once, and the replicas notice.
func playUntilSignal(d Demo, o options) error {
	// When stdout is closed, stop cleanly instead of dying of SIGPIPE.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGPIPE)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	return play(ctx, d, o, newView(os.Stdout))
}
