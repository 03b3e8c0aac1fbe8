package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/checkin"
	"github.com/redtick/redtick/redlock/inspect"
)

// running is the run command.
type running struct {
	*target
	leasing
	name      string
	try       bool
	wait      time.Duration
	tick      string
	zone      string
	fence     bool
	takenCode int
	verbose   bool
	ping      string
}

const runAbout = `run acquires the lease of a name, runs CMD, and releases the lease: flock(1) for a
fleet. The lease is renewed while CMD runs. By default run waits for its turn
without limit; --try does not wait, and --wait limits the wait. It does not wait
for nodes: without a majority at the start it ends within 2 s, with --tick 6 s.

With --tick run claims a tick instead of a lock: each tick runs once in the whole
fleet, however short CMD is, on the machine that comes first. A period stands for
its current tick: with "--tick 1m", in the crontab of every machine, each minute
runs once; with 24h, each day. The machines' clocks may differ, but by less than
the period. If a machine dies, its tick is spent.

Days, and parts of a day longer than an hour, begin at midnight in the time zone
of --zone, as in a crontab; weeks begin on Monday. The default is that of CRON_TZ,
which cronie passes to its jobs, or else the machine's (TZ, which must be a name
such as Europe/Berlin), as for cron. Give --zone if the machines' zones differ. A
day that begins less than 20 hours after the newest one is refused.

CMD has run's stdin, stdout and stderr; run itself writes only to stderr. CMD's
environment has REDTICK_NAME, REDTICK_TOKEN, REDTICK_TICK (with --tick) and
REDTICK_FENCE (with --tick or --fence): a number that grows with each lease, so
that the resource CMD writes to can refuse older ones.

With --ping run calls a URL when CMD begins, and when it ends with exit code 0 or
otherwise: URL/start, URL and URL/fail, as for healthchecks.io, or the forms of
Sentry (…/api/ID/cron/SLUG/KEY/) and Cronitor (cronitor.link). If CMD is not run,
nothing is called. A call may take 5 s and is not repeated. If it fails, stderr
says so and nothing else changes. Put a secret URL into REDTICK_PING.

When the lease is lost, CMD gets SIGTERM, and SIGKILL after --grace. When renewal
fails, SIGTERM comes --grace before the lease ends, so that CMD is gone before
another machine may begin. If another machine already has the lease (it was
released by force, or this machine was paused), run finds out at the next renewal,
within a third of the TTL. Until then and for --grace, CMD runs without
protection. Nor can run undo what CMD has already sent.
If run itself is killed (SIGKILL), Linux kills CMD as well, but not the processes
that CMD started: let a script exec its last program. On other systems CMD goes on
without a lease.

SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to CMD. CMD has
a new process group, and all of the group gets them. But if stdin is the terminal,
CMD stays in the terminal's group, so that Ctrl-C and Ctrl-Z work as usual. Then
SIGTERM and SIGKILL reach only CMD, not the processes it started, and SIGINT and
SIGQUIT are left to the terminal: to end CMD from elsewhere, use SIGTERM.

Exit codes
  CMD's own, or 128 + the number of the signal that ended it; and
  64   the command line is wrong, or the tick is too old or too far ahead
  69   no majority of the nodes answers, so CMD was not run
  75   somebody else has the lease or had the tick, or the job is paused, so CMD was
       not run. With --taken-code 0 this is not a failure. Then, without --verbose,
       run prints nothing about it, nor about a node that is out while a majority
       answers, because cron mails all output; see "redtick status" for the nodes
  79   the lease was lost while CMD ran
  126  CMD could not be started; with --tick this spends the tick
  127  CMD was not found; with --tick this may spend the tick
  128+ the signal that ended the waiting, such as 130 for Ctrl-C`

func newRun(t *target) *cobra.Command {
	r := &running{target: t}
	c := &cobra.Command{
		Use:   "run --name NAME [flags] -- CMD [ARG]...",
		Short: "Run a program under a lease, on one machine at a time",
		Long:  runAbout,
		Example: `  redtick run --name report -- ./report.sh --all        one at a time, in turn
  redtick run --name report --try -- ./report.sh        or not at all
  redtick run --name report --wait 30s -- ./report.sh   or after 30s not at all
  redtick run --name leader -- ./server                 a hot standby

  # in the crontab of every machine: each minute once in the fleet
  * * * * *  redtick run --name report --tick 1m --taken-code 0 -- ./report.sh`,
		Args: afterDashes,
		RunE: func(c *cobra.Command, args []string) error { return r.run(c, args) },
	}
	r.flags(c)
	return c
}

func (r *running) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&r.name, "name", "n", "", "the name to take (required)")
	f.BoolVar(&r.try, "try", false, "do not wait")
	f.DurationVar(&r.wait, "wait", 0, "wait no longer than this; 0 is without end")
	f.StringVar(&r.tick, "tick", "", "claim a tick: a period (1m, 24h) for its current tick, or an instant (RFC 3339); implies --try")
	f.StringVar(&r.zone, "zone", "", "the time zone in which --tick counts days, such as Europe/Berlin or UTC (default $CRON_TZ, or else the machine's)")
	r.leasing.flags(f)
	f.BoolVar(&r.fence, "fence", false, "give CMD a growing number in REDTICK_FENCE")
	f.IntVar(&r.takenCode, "taken-code", exitTaken, "the exit code when somebody else has it, 0 to 255")
	f.StringVar(&r.ping, "ping", "", "call this URL when CMD begins, succeeds or fails (default $REDTICK_PING)")
	f.BoolVarP(&r.verbose, "verbose", "v", false, "report on stderr what happens to the lease")
	_ = c.RegisterFlagCompletionFunc("name", r.completion((*inspect.Inspector).Names))
	c.MarkFlagsMutuallyExclusive("try", "wait")
	c.MarkFlagsMutuallyExclusive("tick", "wait")
	c.MarkFlagsMutuallyExclusive("tick", "fence")
}

// afterDashes requires the program after "--", which separates its flags from run's.
func afterDashes(c *cobra.Command, args []string) error {
	switch at := c.ArgsLenAtDash(); {
	case at > 0:
		return usage("%q stands before --; only flags may", args[0])
	case at < 0 || len(args) == 0:
		return usage("no program is given; put it behind --, as in: redtick run --name NAME -- CMD ARG")
	}
	return nil
}

func (r *running) check(c *cobra.Command) error {
	if r.name == "" {
		return usage("--name is missing; runs of one name exclude each other")
	}
	if r.zone != "" && r.tick == "" {
		return usage("--zone is %q, but there is no --tick whose days it counts; give both or none", r.zone)
	}
	if r.wait < 0 {
		return usage("--wait is %v, must not be negative; --try does not wait", r.wait)
	}
	if r.ping = cmp.Or(r.ping, os.Getenv(pingVariable)); r.ping != "" {
		if err := checkin.Check(r.ping); err != nil {
			return usage("--ping: %s", plain(err))
		}
	}
	if r.takenCode < 0 || r.takenCode > 255 {
		return usage("--taken-code is %d, must be 0 to 255", r.takenCode)
	}
	return r.leasing.check(c)
}

func (r *running) run(c *cobra.Command, command []string) error {
	if err := r.check(c); err != nil {
		return err
	}
	take, options, err := r.plan()
	if err != nil {
		return err
	}
	child, err := newChild(command)
	if err != nil {
		return err
	}
	f, err := r.open(2*time.Second, options...)
	if err != nil {
		return err
	}
	defer f.close()
	signals, stop := catchSignals(ownsTerminal())
	defer stop()
	lease, err := acquire(c.Context(), f.locker, take, signals)
	if err != nil {
		return r.refusal(err)
	}
	calls := newPings()
	defer calls.close()
	return calls.around(r.ping, lease, func() error { return r.guard(lease, child, signals) })
}

// taking is a way to acquire a lease.
type taking func(context.Context, *redlock.Locker) (*redlock.Lease, error)

func (r *running) plan() (taking, []redlock.LockerOption, error) {
	options := []redlock.LockerOption{redlock.WithTTL(r.ttl)}
	if r.fence {
		options = append(options, redlock.WithFencing())
	}
	observe := r.tell
	if r.verbose {
		observe = redlock.Log(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	}
	options = append(options, redlock.WithObserver(observe))
	if r.tick == "" {
		return r.lock, options, nil
	}
	tick, more, err := parseTick(r.tick, r.zone, time.Now())
	claim := func(ctx context.Context, l *redlock.Locker) (*redlock.Lease, error) {
		job, err := l.NewJob(r.name, more...)
		if err != nil {
			return nil, err
		}
		return job.Claim(ctx, tick)
	}
	return claim, options, err
}

// lock tries once before it waits, to print the holder, and to end at once if no
// majority of the nodes answers.
func (r *running) lock(ctx context.Context, l *redlock.Locker) (*redlock.Lease, error) {
	m, err := l.NewMutex(r.name)
	if err != nil {
		return nil, err
	}
	lease, err := m.TryLock(ctx)
	var refusal *redlock.Error
	if errors.As(err, &refusal) && isOurs(refusal.Holder) {
		return nil, exit(r.takenCode, fmt.Errorf("%q is held by the redtick run that this one is part of, and they would wait for each other: use another name, or leave one of them out", r.name))
	}
	if r.try || !errors.Is(err, redlock.ErrTaken) {
		return lease, err
	}
	if refusal != nil && !r.quiet() {
		say("waiting for %q, which %s holds", r.name, printable(redlock.HolderOf(refusal.Holder)))
	}
	if r.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.wait)
		defer cancel()
	}
	lease, err = m.Lock(ctx)
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(err, redlock.ErrTaken) {
		err = r.elsewhere(fmt.Errorf("%q was not free within %v; give --wait more time, or see who holds it: redtick show %s", r.name, r.wait, r.name))
	}
	return lease, err
}

// elsewhere returns the error for a CMD that is not run because somebody else has the
// lease or the tick, or the job is paused.
func (r *running) elsewhere(err error) error {
	if r.quiet() {
		err = nil
	}
	return exit(r.takenCode, err)
}

// quiet reports whether to print nothing when another machine runs CMD: cron would mail it each time.
func (r *running) quiet() bool { return r.takenCode == 0 && !r.verbose }

// refusal adds the exit code to the error of an acquisition. The error of a wait that
// timed out also matches the reason for the wait.
func (r *running) refusal(err error) error {
	var coded *exitError
	switch {
	case errors.As(err, &coded):
		return err
	case errors.Is(err, redlock.ErrNoQuorum):
		return exit(exitRunNoQuorum, err)
	case r.try && errors.Is(err, redlock.ErrTaken):
		return r.elsewhere(fmt.Errorf("%w; leave --try out to wait for it", err))
	case errors.Is(err, redlock.ErrTaken), errors.Is(err, redlock.ErrTickDone), errors.Is(err, redlock.ErrPaused), errors.Is(err, context.DeadlineExceeded):
		return r.elsewhere(err)
	}
	return exit(exitUsage, err)
}

// tell logs events that neither the exit code nor an error reports. It is silent about a node that is out, or refuses a
// subscription, if quiet: cron would mail that from every machine at each tick.
func (r *running) tell(e redlock.Event) {
	switch e.Kind {
	case redlock.Refused, redlock.Ended, redlock.Released:
		return
	case redlock.NodeOut, redlock.NoticesUnheard:
		if r.quiet() {
			return
		}
	}
	redlock.Log(nil)(e)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "redtick: "+format+"\n", args...)
}

// acquire takes a lease, and stops on a signal. If the lease is granted by then,
// acquire releases it, because CMD has not begun.
func acquire(ctx context.Context, l *redlock.Locker, take taking, signals <-chan os.Signal) (*redlock.Lease, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-signals:
			cancel(exit(exitSignal+numberOf(s), nil))
		case <-ctx.Done():
		}
	}()
	lease, err := take(ctx, l)
	cancel(nil)
	<-done
	var signal *exitError
	if !errors.As(context.Cause(ctx), &signal) {
		return lease, err
	}
	if lease != nil {
		_ = lease.Unlock(ctx)
	}
	return nil, signal
}
