package redisserver

import "syscall"

// endWithParent makes the kernel kill a server when its test binary dies, since a
// killed binary does not run its cleanups.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
