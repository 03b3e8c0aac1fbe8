//go:build !linux

package main

import "syscall"

// endWithParent cannot promise that here; the process group keeps an interrupt
// from the terminal away from the servers until they are stopped in order.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
