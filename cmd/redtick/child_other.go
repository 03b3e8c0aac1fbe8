//go:build !unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

func attributes(bool) *syscall.SysProcAttr { return nil }

// forward does nothing: Ctrl-C reaches the child without us.
func (c *child) forward(os.Signal) {}

func (c *child) terminate() { c.kill() }

func (c *child) kill() { _ = c.Process.Kill() }

func (c *child) lives() bool { return !c.hasEnded() }

func adoptOrphans() {}

func startProgram(c *exec.Cmd) error { return c.Start() }

func endedProgram(int) {}

func (c *child) code() int { return c.ProcessState.ExitCode() }
