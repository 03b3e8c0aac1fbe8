package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redtick/redtick/cmd/redtick/internal/crontab"
	"github.com/redtick/redtick/cronadapter"
	"github.com/redtick/redtick/redlock"
)

// daemon is a running cron.
type daemon struct {
	*cronning
	fleet  *fleet
	log    *slog.Logger
	output *output
	onMain chan func()        // functions for the main thread
	table  *crontab.Timetable // nil when there is nothing to reload
	reads  int                // reloads so far; an older read must not replace a newer one
	runs   atomic.Int32
	calls  *pings

	halted context.Context // ends when programs that still run must end
	halt   context.CancelCauseFunc
}

var errHalted = errors.New("redtick was told to end")

func newDaemon(r *cronning) *daemon {
	d := &daemon{cronning: r, log: r.logger(), output: &output{raw: r.raw}, onMain: make(chan func()), calls: newPings()}
	d.halted, d.halt = context.WithCancelCause(context.Background())
	return d
}

func (d *daemon) runForever(file *crontab.File, signals <-chan os.Signal) error {
	table, err := crontab.NewTimetable(d.fleet.locker, d.work)
	if err != nil {
		return err
	}
	if err := table.Load(file); err != nil {
		return usage("%w", err)
	}
	d.table = table
	d.logFile(file, "crontab is read")
	go d.check()
	d.serve(signals, nil, func() <-chan struct{} { d.table = nil; return table.Stop() })
	return nil
}

// check logs which nodes cannot vote, because the first tick may be a day away. It does not end the daemon: nodes may recover.
func (d *daemon) check() {
	ctx, cancel := context.WithTimeout(d.halted, 10*time.Second)
	defer cancel()
	switch err := d.fleet.locker.Check(ctx); {
	case d.halted.Err() != nil, errors.Is(err, redlock.ErrClosed):
	case errors.Is(err, redlock.ErrNoQuorum):
		d.log.Error("no tick would run now: too few nodes can be used", "error", err)
	case err != nil:
		d.log.Warn("some nodes cannot be used", "error", err)
	}
}

// logFile logs what a file contains.
func (d *daemon) logFile(file *crontab.File, message string) {
	d.log.Info(message, "file", d.file, "jobs", len(file.Jobs))
	for _, w := range file.Warnings {
		d.log.Warn(w.Text, "file", d.file, "line", w.Line)
	}
	if len(file.Jobs) == 0 {
		d.log.Warn("there are no jobs in the file, so nothing will run", "file", d.file)
	}
}

// reload reads the file in a goroutine: it may block forever on a missing disk or a pipe.
func (d *daemon) reload() {
	d.reads++
	read := d.reads
	go func() {
		file, err := d.read()
		d.onMain <- func() {
			if read == d.reads && d.table != nil {
				d.load(file, err)
			}
		}
	}()
}

func (d *daemon) load(file *crontab.File, err error) {
	if err == nil {
		err = d.table.Load(file)
	}
	if err == nil {
		d.logFile(file, "crontab is reloaded")
		return
	}
	for line := range strings.Lines(err.Error()) {
		d.log.Error("crontab is not reloaded; the former one stays in effect", "error", strings.TrimSpace(line))
	}
}

// sameSignal is how close two signals count as one: timeout(1) sends a signal to the
// process and again to its group.
const sameSignal = 100 * time.Millisecond

// serve runs the functions for the main thread and handles signals until done is
// closed. At the first signal to end it calls stop, which keeps new runs from
// beginning and returns a channel that is closed when all runs have ended.
func (d *daemon) serve(signals <-chan os.Signal, done <-chan struct{}, stop func() <-chan struct{}) {
	var limit <-chan time.Time
	var stopping time.Time // when stop was called
	for {
		select {
		case <-done:
			return
		case do := <-d.onMain:
			do()
		case <-limit:
			d.halt(errHalted)
		case s := <-signals:
			switch {
			case reloads(s) && d.table != nil:
				d.reload()
			case !ends(s) || time.Since(stopping) < sameSignal:
			case !stopping.IsZero():
				d.halt(errHalted)
			default:
				stopping, done = time.Now(), stop()
				d.log.Info("ending: no more runs begin; a second signal ends those in progress", "signal", s.String(), "runs", d.runs.Load())
				if d.drain > 0 {
					limit = time.After(d.drain)
				}
			}
		}
	}
}

// runOnce claims the current tick of each job.
func (d *daemon) runOnce(file *crontab.File, signals <-chan os.Signal) error {
	if err := file.Check(d.fleet.locker); err != nil {
		return usage("%w", err)
	}
	d.logFile(file, "crontab is read")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := d.fleet.locker.Check(ctx); errors.Is(err, redlock.ErrNoQuorum) {
		return exit(exitNoQuorum, err) // a line with takeover would wait for one
	}
	outcomes := make([]error, len(file.Jobs))
	var all sync.WaitGroup
	for i, j := range file.Jobs {
		all.Go(func() { outcomes[i] = d.current(ctx, j) })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	d.serve(signals, done, func() <-chan struct{} { cancel(); return done })
	err := errors.Join(outcomes...)
	switch {
	case errors.Is(err, redlock.ErrNoQuorum):
		return exit(exitNoQuorum, nil)
	case err != nil:
		return exit(exitWarning, nil)
	}
	return nil
}

// current runs the current tick of a job, unless another machine has. Its catch-up
// exceeds the tick's age, so that nodes do not refuse the tick as stale.
func (d *daemon) current(ctx context.Context, j crontab.Job) error {
	now := time.Now()
	tick := j.Newest(now)
	if tick.IsZero() {
		d.log.Info("no tick within 6 days, nothing to run", "name", j.Name)
		return nil
	}
	job, err := d.fleet.locker.NewJob(j.Name, append(j.JobOptions(),
		redlock.WithLateness(0), // --once reports missing nodes at once
		redlock.WithCatchUp(max(j.CatchUp, now.Sub(tick)+time.Hour)))...)
	if err != nil {
		return err
	}
	err = job.Run(ctx, tick, func(ctx context.Context) error { return d.work(ctx, j) })
	switch {
	case errors.Is(err, redlock.ErrTickDone), errors.Is(err, redlock.ErrTaken):
		d.log.Info("the current tick was run, or is run, elsewhere", "name", j.Name, "tick", instant(tick))
		return nil
	case errors.Is(err, redlock.ErrPaused):
		return nil
	}
	return err
}

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
	timedOut := fmt.Errorf("timed out after %v", j.Timeout)
	halt, cancel := context.WithTimeoutCause(d.halted, cmp.Or(j.Timeout, math.MaxInt64), timedOut)
	defer cancel()
	if err := attend(halt, lease, child, d.grace, nil); err != nil {
		child.end(d.grace)
		return fmt.Errorf("%w, so the command was ended (exit code %d)", err, child.code())
	}
	return child.result()
}

// observe logs the library's events, except those that work logs itself.
func (d *daemon) observe(e redlock.Event) {
	switch {
	case overlaps(e):
		d.log.Warn("skipped, the lease is still held for an earlier run", "name", e.Name, "tick", instant(e.Tick),
			"holder", printable(redlock.HolderOf(e.Holder)), "running_tick", instant(redlock.TickOf(e.Holder)))
	case e.Kind == cronadapter.Warning && errors.Is(e.Err, cronadapter.ErrSchedule):
		d.log.Warn("the schedule follows the time zone of this machine; on a machine with another one it runs at other instants, and then more than once: put CRON_TZ=, such as CRON_TZ=Europe/Berlin, above it", "name", e.Name)
	case d.verbose, e.Kind != redlock.Acquired && e.Kind != redlock.Ended && (e.Kind != redlock.Released || e.Err != nil):
		redlock.Log(d.log)(e)
	}
}

// overlaps reports whether a tick is skipped because the run of another tick has not
// ended. A refusal for the same tick is normal.
func overlaps(e redlock.Event) bool {
	return e.Kind == redlock.Refused && errors.Is(e.Err, redlock.ErrTaken) && !e.Tick.IsZero() && !redlock.TickOf(e.Holder).Equal(e.Tick)
}
