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

// Demo is one show.
type Demo struct {
	// Schedule names what the replicas have in common, such as "gocron schedule".
	Schedule string
	// Explain says in a line how ticks are kept apart. It is called once the flags are parsed.
	Explain func() string
	// Jobs are what the schedule holds. The first is the one whose ticks are
	// counted for -ticks and the last line.
	Jobs []Job
	// Replica starts the schedule, calls Ready, waits until ctx ends and stops
	// the schedule.
	Replica func(ctx context.Context, r *Replica) error
}

// Main plays the show. It returns when every tick was run exactly once; else,
// or when something went wrong, it ends the process with status 1, and with 2
// for wrong flags. Flags that the example has of its own must be defined before.
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
	if err != nil && !errors.Is(err, errTold) {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// playUntilSignal stops cleanly at the first signal; a second one ends the
// process at once, and the replicas notice.
func playUntilSignal(d Demo, o options) error {
	// Nobody reads the view any more: the writes that follow must not kill.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGPIPE)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	return play(ctx, d, o, newView(os.Stdout))
}
