//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes(group bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: group} }

func (c *child) forward(s os.Signal) {
	number := s.(syscall.Signal)
	if !c.group && (number == syscall.SIGINT || number == syscall.SIGQUIT) {
		return // the terminal has sent it to the child as well
	}
	c.send(number)
	if ends(s) {
		c.send(syscall.SIGCONT) // a stopped program would not handle it
	}
}

func (c *child) terminate() { c.forward(syscall.SIGTERM) }

func (c *child) kill() { c.send(syscall.SIGKILL) }

// send signals the whole group, even if its first process has ended. The group's id
// is not reused while it has members.
func (c *child) send(s syscall.Signal) {
	switch {
	case c.group:
		_ = syscall.Kill(-c.Process.Pid, s)
	case !c.hasEnded():
		_ = c.Process.Signal(s)
	}
}

func (c *child) lives() bool {
	return !c.hasEnded() || c.group && syscall.Kill(-c.Process.Pid, 0) == nil
}

// code returns the exit code as shells report it: 128 and the number of the signal
// that ended the program.
func (c *child) code() int {
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return c.ProcessState.ExitCode()
}

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

// isTerminal reports whether f is a terminal. /dev/null, a character device, is not.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// terminalSize returns the size of the terminal, or 80 by 24 if unknown.
func terminalSize(f *os.File) (columns, rows int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// ownsTerminal reports whether the terminal of stdin sends Ctrl-C and Ctrl-Z to our
// process group.
func ownsTerminal() bool {
	group, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
