package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// keepAwake runs a spinner on each core at idle priority, so that the core never
// halts.
func keepAwake() (stop func(), err error) {
	var spinners []*exec.Cmd
	stop = func() {
		for _, s := range spinners {
			_ = s.Process.Kill()
			_ = s.Wait()
		}
	}
	for range runtime.NumCPU() {
		s := exec.Command("chrt", "--idle", "0", "sh", "-c", "while :; do :; done")
		s.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := s.Start(); err != nil {
			stop()
			return nil, fmt.Errorf("chrt (of util-linux) keeps the cores awake: %w", err)
		}
		spinners = append(spinners, s)
	}
	return stop, nil
}
