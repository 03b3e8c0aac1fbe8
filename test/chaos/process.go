package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// child is a process of this run: a server or a replica. Its methods may be
// called from any goroutine.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
	out  output
}

func startChild(env string, name string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(name, args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.Env = append(os.Environ(), env)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

// kill kills the process with SIGKILL, even if it is stopped.
func (c *child) kill() {
	c.signal(syscall.SIGKILL)
	c.signal(syscall.SIGCONT)
	<-c.done
}

// output keeps the last output of a process.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text.String()
	return text[max(0, len(text)-2000):]
}

// startReplica runs this program again, as a replica.
func startReplica(s setup) (*child, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startChild(setupVariable+"="+string(text), self)
}

// leave asks a replica to release everything, and waits until it has ended. unpaid
// says what it could not release.
func leave(c *child) (unpaid string, err error) {
	c.signal(syscall.SIGTERM)
	<-c.done
	status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case status.Exited() && status.ExitStatus() == exitUnpaid:
		return c.out.tail(), nil
	case status.Exited() && status.ExitStatus() == 0, status.Signaled() && status.Signal() == syscall.SIGTERM:
		return "", nil // the signal ends only a process that has not yet begun to listen, nor to lock
	}
	return "", fmt.Errorf("a replica ended by itself: %v: %s", c.cmd.ProcessState, c.out.tail())
}
