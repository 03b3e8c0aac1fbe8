//go:build !unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// These systems have no process groups and few signals, so a program is only killed.

func attributes(bool) *syscall.SysProcAttr { return nil }

// forward does nothing: Ctrl-C reaches the child without us.
func (c *child) forward(os.Signal) {}

func (c *child) terminate() { c.kill() }

func (c *child) kill() { _ = c.Process.Kill() }

func (c *child) lives() bool { return !c.hasEnded() }

func (c *child) code() int { return c.ProcessState.ExitCode() }

// endings are the signals that end a watch.
var endings = []os.Signal{os.Interrupt}

func catchSignals(bool) (signals <-chan os.Signal, stop func()) {
	all := make(chan os.Signal, 1)
	signal.Notify(all, os.Interrupt)
	return all, func() { signal.Stop(all) }
}

func numberOf(os.Signal) int { return 2 }

func reloads(os.Signal) bool { return false }

func ends(os.Signal) bool { return true }

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func terminalSize(*os.File) (columns, rows int) { return 80, 24 }

func ownsTerminal() bool { return true }
