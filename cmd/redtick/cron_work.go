package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/redtick/redtick/cmd/redtick/internal/crontab"
	"github.com/redtick/redtick/redlock"
)

// work runs the command of a job for a granted tick. Its error is the run's result.
func (d *daemon) work(ctx context.Context, j crontab.Job) error {
	d.runs.Add(1)
	defer d.runs.Add(-1)
	lease, ok := redlock.LeaseFrom(ctx)
	if !ok {
		return fmt.Errorf("the run of %q has no lease", j.Name)
	}
	return d.calls.around(j.Ping, lease, func() error { return d.execute(lease, j) })
}

func (d *daemon) execute(lease *redlock.Lease, j crontab.Job) error {
	log := d.log.With("name", j.Name, "tick", instant(lease.Tick()))
	began := time.Now()
	pipes, err := d.output.pipes(j.Name)
	if err != nil {
		log.Error("not started", "error", err)
		return err
	}
	child := &child{Cmd: exec.Command(j.Shell, "-c", j.Command), group: true, ended: make(chan struct{})}
	child.Stdout, child.Stderr = pipes.stdout, pipes.stderr
	err = d.start(child, environment(slices.Concat(os.Environ(), j.Env), j.Name, lease))
	pipes.handedOver()
	if err != nil {
		log.Error("not started", "error", err)
		return err
	}
	log.Info("began", "fence", lease.Fence(), "pid", child.Process.Pid)
	err = d.guard(lease, child, j)
	pipes.drain()
	if err != nil {
		log.Error("failed", "took", rounded(time.Since(began)), "error", err)
		return err
	}
	log.Info("ended", "took", rounded(time.Since(began)))
	return nil
}

// start makes the main thread start the program; see init in child_linux.go.
func (d *daemon) start(c *child, env []string) error {
	started := make(chan error)
	d.onMain <- func() { started <- c.start(env) }
	return <-started
}

func (d *daemon) guard(lease *redlock.Lease, child *child, j crontab.Job) error {
	halt, cancel := d.limit(j)
	defer cancel()
	if err := attend(halt, lease, child, d.grace, nil); err != nil {
		child.end(d.grace)
		return fmt.Errorf("%w, so the command was ended (exit code %d)", err, child.code())
	}
	return child.result()
}
