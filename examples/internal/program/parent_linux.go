package program

import "syscall"

// EndWithParent returns attributes that kill a process when its parent dies, so that
// none is left behind when a test is killed before its cleanups.
func EndWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
