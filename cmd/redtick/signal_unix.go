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
// started (nohup) stays so. Unless the children are in our group, Ctrl-Z does
// nothing: it would stop us but not them, who would then outlive their leases.
func catchSignals(ourGroup bool) (signals <-chan os.Signal, stop func()) {
	if !ourGroup {
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

// reloads are SIGHUP, as for other daemons, and supercronic's signal.
func reloads(s os.Signal) bool { return s == syscall.SIGHUP || s == syscall.SIGUSR2 }

func ends(s os.Signal) bool {
	return s == syscall.SIGINT || s == syscall.SIGTERM || s == syscall.SIGQUIT
}
