package main

import (
	"runtime"
	"syscall"
)

// The child is told of the death of the thread that started it, which must
// therefore live as long as the process: the main one does.
func init() { runtime.LockOSThread() }

func attributes(group bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: group, Pdeathsig: syscall.SIGKILL}
}
