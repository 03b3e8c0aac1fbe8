//go:build !linux

package program

import "syscall"

// EndWithParent does nothing: only Linux can tie a process to its parent.
func EndWithParent() *syscall.SysProcAttr { return nil }
