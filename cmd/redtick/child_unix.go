//go:build unix

package main

import (
	"os"
	"syscall"
)

func (c *child) forward(s os.Signal) {
	number := s.(syscall.Signal)
	if !c.group && (number == syscall.SIGINT || number == syscall.SIGQUIT) {
		return // the terminal sends them to its whole group, so the child has its own
	}
	c.send(number)
	if ends(s) {
		c.send(syscall.SIGCONT) // one that is stopped would not notice
	}
}

func (c *child) terminate() { c.forward(syscall.SIGTERM) }

func (c *child) kill() { c.send(syscall.SIGKILL) }

// send reaches the group even if its first process has ended. A group's
// number is not used again while it has members.
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

// code is as shells tell it.
func (c *child) code() int {
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return c.ProcessState.ExitCode()
}
