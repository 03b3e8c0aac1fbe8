package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redtick/redtick/cmd/redtick/internal/crontab"
	"github.com/redtick/redtick/redlock"
)

// cronning is the cron command.
type cronning struct {
	*target
	leasing
	file    string
	once    bool
	check   bool
	raw     bool
	drain   time.Duration
	format  string
	verbose bool
}

const cronAbout = `cron runs a crontab on every machine of a fleet, and each tick of each line on one
of them, the first to claim it. All machines need the same file, except while it is
being replaced. If a machine dies, the ticks that it had begun are spent, except
those of lines with takeover, which another machine runs again.

  # redtick: name=report timeout=20m
  */5 * * * *  ./report.sh --all

A line is a schedule and a command, as in other crontabs. The schedule has five
fields, or six of which the first is seconds, or is @hourly and the like, or
@every 90s, which counts from 1970 and so is the same on all machines. NAME=value
lines apply to the lines below them. CRON_TZ= is the time zone of their schedules;
the default is the machine's. SHELL= runs their commands. "# redtick:" lines set
options, for the next line with a command, or with "defaults" for all below:

  name=NAME     its key on the nodes; keep it when the line changes. The default
                is derived from the schedule and the command
  takeover      at least once: if a machine dies, another runs its tick again
  timeout=20m   after this the command gets SIGTERM, and SIGKILL after --grace
  lateness=10m  how late a tick may run because no majority of the nodes answered,
                at most until the next tick; 10m by default, 0 for not at all
  catchup=2h    after all machines were down or the job was paused, run the newest
                missed tick once if it is at most this old; none by default
  ping=URL      call this when a run begins, succeeds or fails, as in "redtick run"
  max-hold=1h   after this the lease is no longer renewed, and so is lost
  shell=PATH    runs the command, as SHELL= does

Runs of one line do not overlap, on any machine. A tick that comes during an earlier
run is skipped, with a warning; with takeover it runs later. A run ends when its
program does; background processes that it leaves are not waited for. Commands have
redtick's environment, no stdin, and their own process group. REDTICK_NAME,
REDTICK_TOKEN, REDTICK_TICK and REDTICK_FENCE are as in "redtick run", and so is
the loss of a lease.

"redtick trigger NAME" makes one machine run a line now. For this cron listens on
one connection to each node. Lines run then as at their ticks, but takeover does
not apply: the run is not repeated if its machine dies.

SIGHUP or SIGUSR2 rereads the file. Unchanged lines are not touched, and runs in
progress go on. A bad file changes nothing, and the log says what is wrong with it.
After SIGTERM, SIGINT or SIGQUIT no run begins, and cron ends when the runs in
progress have ended. After --drain, or a second signal, these get SIGTERM, and
SIGKILL after --grace.

Exit codes
  0   ended by a signal; --once: no run failed; --check: the file is valid
  1   --once: a run failed, was lost, or was refused though no other machine had it
      and the job is not paused
  2   --once: no majority of the nodes answers; once it has begun, lines with takeover
      wait for one
  64  the command line or the file is wrong`

func newCron(t *target) *cobra.Command {
	r := &cronning{target: t}
	c := &cobra.Command{
		Use:   "cron FILE",
		Short: "Run a crontab that a fleet shares, each tick on one machine",
		Long:  cronAbout,
		Example: `  redtick cron crontab                as the last command of every container
  redtick cron --check crontab        is it valid, and when does it run next?
  redtick cron --once crontab         run the current tick of each line, and end`,
		Args: one("file", "crontab"),
		RunE: func(c *cobra.Command, args []string) error {
			r.file = args[0]
			return r.run(c)
		},
	}
	r.flags(c)
	return c
}

func (r *cronning) flags(c *cobra.Command) {
	f := c.Flags()
	r.leasing.flags(f)
	f.BoolVar(&r.once, "once", false, "run the current tick of each line, unless it was run already or is older than 6 days, and end")
	f.BoolVar(&r.check, "check", false, "read FILE, show the next runs, and end; needs no nodes")
	f.BoolVar(&r.raw, "raw", false, "pass the commands' output through unchanged; by default each line is prefixed with the name of its job")
	f.DurationVar(&r.drain, "drain", 0, "how long runs may go on after SIGTERM; 0 is without end")
	f.StringVar(&r.format, "log", "text", "how to log, on stderr: text or json")
	f.BoolVarP(&r.verbose, "verbose", "v", false, "log also what other machines run, and renewals")
	c.MarkFlagsMutuallyExclusive("once", "check")
}

func (r *cronning) checkFlags(c *cobra.Command) error {
	if r.drain < 0 {
		return usage("--drain is %v, must not be negative; 0 waits for runs without end", r.drain)
	}
	if r.format != "text" && r.format != "json" {
		return usage("--log is %q, must be text or json", r.format)
	}
	return r.leasing.check(c)
}

func (r *cronning) run(c *cobra.Command) error {
	if err := r.checkFlags(c); err != nil {
		return err
	}
	file, err := r.read()
	if err != nil {
		return usage("%w", err)
	}
	if r.check {
		return r.show(c.OutOrStdout(), file)
	}
	d := newDaemon(r)
	defer d.calls.close()
	d.fleet, err = r.open(2*time.Second, redlock.WithTTL(r.ttl), redlock.WithObserver(d.observe))
	if err != nil {
		return err
	}
	defer d.fleet.close()
	signals, _ := catchSignals(false) // to the end of the process: a late one must not change the exit code
	adoptOrphans()
	if r.once {
		return d.runOnce(file, signals)
	}
	return d.runForever(file, signals)
}

// read also checks what depends on the machine: the shells and TZ.
func (r *cronning) read() (*crontab.File, error) {
	text, err := os.ReadFile(r.file)
	if err != nil {
		return nil, err
	}
	file, err := crontab.Parse(r.file, string(text))
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, j := range file.Jobs {
		if _, err := parseZone(j.Zone); err != nil && !strings.HasPrefix(j.Spec, "@every") {
			problems = append(problems, crontab.Problem{File: r.file, Line: j.Line, Text: err.Error()})
		}
		if _, err := exec.LookPath(j.Shell); err != nil {
			problems = append(problems, crontab.Problem{File: r.file, Line: j.Line, Text: "the shell cannot be run: " + err.Error() + "; give another with SHELL= or shell="})
		}
	}
	return file, errors.Join(problems...)
}

func (r *cronning) logger() *slog.Logger {
	options := &slog.HandlerOptions{}
	if r.verbose {
		options.Level = slog.LevelDebug
	}
	if r.format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

const shownRuns = 3

// show prints what --check reports about a valid file.
func (r *cronning) show(w io.Writer, file *crontab.File) error {
	for _, warning := range file.Warnings {
		say("%v", warning)
	}
	if len(file.Jobs) == 0 {
		_, err := fmt.Fprintf(w, "%s: no jobs\n", r.file)
		return err
	}
	t := table{{"LINE", "NAME", "SCHEDULE", "ZONE", "NEXT RUNS", "OPTIONS", "COMMAND"}}
	now := time.Now()
	for _, j := range file.Jobs {
		for i, next := range j.Next(now, shownRuns) {
			at := next.In(zoneOf(j)).Format("Mon 2006-01-02 15:04:05 MST")
			if i > 0 {
				t.row("", "", "", "", at)
				continue
			}
			t.row(strconv.Itoa(j.Line), j.Name, j.Spec, zoneOf(j).String(), at, options(j), j.Command)
		}
	}
	return t.write(w)
}

func zoneOf(j crontab.Job) *time.Location {
	in, err := parseZone(j.Zone)
	if err != nil {
		return time.UTC
	}
	return in
}

func options(j crontab.Job) string {
	var all []string
	add := func(given bool, text string) {
		if given {
			all = append(all, text)
		}
	}
	add(j.Takeover, "takeover")
	add(j.Timeout > 0, "timeout="+j.Timeout.String())
	if j.Lateness != nil {
		all = append(all, "lateness="+j.Lateness.String())
	}
	add(j.CatchUp > 0, "catchup="+j.CatchUp.String())
	add(j.MaxHold > 0, "max-hold="+j.MaxHold.String())
	add(j.Ping != "", "ping") // the URL is a secret
	return orDash(strings.Join(all, " "))
}
