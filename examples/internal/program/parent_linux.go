package program

import "syscall"

// EndWithParent leaves no process behind when the test's binary is killed and its
// cleanups never run.
func EndWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
