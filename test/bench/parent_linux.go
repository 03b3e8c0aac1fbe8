package main

import "syscall"

// endWithParent makes the kernel kill a server when the benchmark is killed.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
