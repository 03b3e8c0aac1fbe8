//go:build unix && !linux

package main

import "syscall"

func adoptOrphans(*child) {}

func attributes(group bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: group}
}
