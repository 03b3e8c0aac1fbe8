//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// endings are the signals that end a watch.
var endings = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// catchSignals receives the signals to pass on. Signals that were ignored at the
// start (nohup) stay ignored. Unless the children are in our process group, Ctrl-Z is
// ignored: it would stop us but not them, and they would outlive their leases.
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

// reloads reports whether s rereads the crontab: SIGHUP, as for other daemons, or
// SIGUSR2, as for supercronic.
func reloads(s os.Signal) bool { return s == syscall.SIGHUP || s == syscall.SIGUSR2 }

func ends(s os.Signal) bool {
	return s == syscall.SIGINT || s == syscall.SIGTERM || s == syscall.SIGQUIT
}
