//go:build !linux

package program

import "syscall"

// EndWithParent returns nil: only Linux can kill a process when its parent dies.
func EndWithParent() *syscall.SysProcAttr { return nil }
