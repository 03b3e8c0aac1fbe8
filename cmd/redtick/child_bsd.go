//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

func adoptOrphans() {}

func startProgram(c *exec.Cmd) error { return c.Start() }

func endedProgram(int) {}

func attributes(group bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: group}
}
