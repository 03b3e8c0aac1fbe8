//go:build !unix

package main

import (
	"os"
	"os/signal"
)

// endings end a watch.
var endings = []os.Signal{os.Interrupt}

func catchSignals(bool) (signals <-chan os.Signal, stop func()) {
	all := make(chan os.Signal, 1)
	signal.Notify(all, os.Interrupt)
	return all, func() { signal.Stop(all) }
}

func numberOf(os.Signal) int { return 2 }

func reloads(os.Signal) bool { return false }

func ends(os.Signal) bool { return true }
