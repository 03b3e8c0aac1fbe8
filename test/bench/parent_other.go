//go:build !linux

package main

import "syscall"

// endWithParent cannot end a server with the benchmark on this system. A new process
// group keeps the terminal's interrupt from the servers, so that they are stopped in
// order.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
