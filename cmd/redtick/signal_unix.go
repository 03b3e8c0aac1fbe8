//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// endings end a watch.
var endings = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// catchSignals receives what is to be passed on. What was ignored when we were
// started (nohup) stays so. Ctrl-Z does nothing when it would stop us but
// not the child, which would then outlive its lease.
func catchSignals() (signals <-chan os.Signal, stop func()) {
	if !ownsTerminal() {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTSTP)
	}
	all := make(chan os.Signal, 16)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(s) {
			signal.Notify(all, s)
		}
	}
	return all, func() { signal.Stop(all) }
}

func numberOf(s os.Signal) int { return int(s.(syscall.Signal)) }
