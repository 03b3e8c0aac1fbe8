//go:build !linux

package main

import (
	"os/exec"
	"syscall"
)

// Only Linux ends a program with its parent, and lets a process adopt orphans.

func endWithParent(*syscall.SysProcAttr) {}

func adoptOrphans() {}

func startProgram(c *exec.Cmd) error { return c.Start() }

func endedProgram(int) {}
