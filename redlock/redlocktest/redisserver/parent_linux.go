package redisserver

import "syscall"

// endWithParent leaves no server behind when the test binary is killed and its
// cleanups never run.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
