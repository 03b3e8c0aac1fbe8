//go:build unix

package main

import (
	"os"
	"syscall"
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
