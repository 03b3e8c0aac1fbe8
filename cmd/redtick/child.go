package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"time"
)

// child is a program that runs under a lease.
type child struct {
	*exec.Cmd
	group bool          // whether it has its own process group
	ended chan struct{} // closed when it has ended
}

// newChild returns an error if the program does not exist, so that no lease is taken for it.
func newChild(command []string) (*child, error) {
	c := &child{Cmd: exec.Command(command[0], command[1:]...), group: !ownsTerminal(), ended: make(chan struct{})}
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, cannotRun(err)
	}
	return c, nil
}

func (c *child) start(env []string) error {
	c.Env = env
	c.SysProcAttr = attributes(c.group)
	endWithParent(c.SysProcAttr)
	if err := startProgram(c.Cmd); err != nil {
		return cannotRun(err)
	}
	go func() {
		_ = c.Wait() // ProcessState has the outcome
		endedProgram(c.Process.Pid)
		close(c.ended)
	}()
	return nil
}

func cannotRun(err error) error {
	code := exitCannotRun
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
	}
	return exit(code, fmt.Errorf("the program was not started: %w", err))
}

// end terminates the program, and kills it after grace.
func (c *child) end(grace time.Duration) {
	c.terminate()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(grace); c.lives() && time.Now().Before(end); {
		<-look.C
	}
	c.kill()
	<-c.ended
}

// hasEnded reports whether the program has ended, so that its process id may have
// been reused.
func (c *child) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// result returns an error if the program ended with an exit code other than 0.
func (c *child) result() error {
	if code := c.code(); code != 0 {
		return fmt.Errorf("exit code %d", code)
	}
	return nil
}
