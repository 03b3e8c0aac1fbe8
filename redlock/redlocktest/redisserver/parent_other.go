//go:build unix && !linux

package redisserver

import "syscall"

// endWithParent: only Linux can tie a process to its parent.
func endWithParent() *syscall.SysProcAttr { return nil }
