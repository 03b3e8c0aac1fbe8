//go:build unix

package main_test

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// crontab writes a crontab file.
func (f *fleet) crontab(lines ...string) {
	f.t.Helper()
	path := filepath.Join(f.dir, "crontab")
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
}

// cron starts a machine and waits until it has read the file.
func (f *fleet) cron(args ...string) *process {
	f.t.Helper()
	p := f.start(append(append([]string{"cron"}, args...), "crontab")...)
	p.err.await(f.t, "crontab is read")
	return p
}

// stop ends a machine and its runs.
func (p *process) stop() outcome { return p.insist(syscall.SIGTERM) }

// insist repeats a signal, because close signals count as one.
func (p *process) insist(s syscall.Signal) outcome {
	p.t.Helper()
	again, ended := time.NewTicker(150*time.Millisecond), make(chan struct{})
	defer again.Stop()
	defer close(ended)
	go func() {
		for {
			_ = p.Process.Signal(s)
			select {
			case <-ended:
				return
			case <-again.C:
			}
		}
	}()
	return p.end()
}

// lines returns the lines of a file that begin with a word, without the word.
func (f *fleet) lines(file, word string) (all []string) {
	text, err := os.ReadFile(filepath.Join(f.dir, file))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, word+" "); ok && strings.HasSuffix(line, "\n") {
			all = append(all, strings.TrimSpace(rest))
		}
	}
	return all
}

// Three machines, of which one is killed, run each tick once.
//
// Seen to fail when work is called without a claim.
func TestCron_runs_each_tick_once(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=a", "* * * * * *  echo a $REDTICK_TICK >> ran", "# redtick: name=b", "@every 2s  echo b $REDTICK_TICK >> ran")
	// If a machine is killed during a run, the others wait for the TTL.
	machines := []*process{f.cron("-ttl", "2s"), f.cron("-ttl", "2s"), f.cron("-ttl", "2s")}
	eventually(t, "some runs", func() bool { return len(f.lines("ran", "a")) >= 3 })
	_ = machines[0].Process.Kill()
	machines[0].end()
	before := len(f.lines("ran", "a"))
	eventually(t, "more runs", func() bool { return len(f.lines("ran", "a")) >= before+3 })
	for _, m := range machines[1:] {
		if o := m.stop(); o.code != 0 {
			t.Errorf("%+v", o)
		}
	}
	for name, step := range map[string]time.Duration{"a": time.Second, "b": 2 * time.Second} {
		ticks := f.lines("ran", name)
		slices.Sort(ticks)
		for i, tick := range ticks {
			at, err := time.Parse(time.RFC3339, tick)
			if err != nil || at.UnixNano()%int64(step) != 0 || i > 0 && tick == ticks[i-1] {
				t.Errorf("%s: tick %d of %v: %v", name, i, ticks, err)
			}
		}
	}
}

// Seen to fail without each of the variables, without the job's own, when the
// shell is not the line's, and when a command has our stdin.
func TestCron_what_a_command_gets(t *testing.T) {
	f := newFleet(t)
	f.crontab("OWN='of the line'", "# redtick: name=x shell=/bin/sh",
		`* * * * * *  echo "$0|$OWN|$REDTICK_NAME|${REDTICK_TOKEN:?}|$REDTICK_TICK|$REDTICK_FENCE|$(cat)|$OUTER|" > new; mv new out`)
	t.Setenv("OUTER", "of redtick")
	t.Setenv("REDTICK_FENCE", "7")
	p := f.cron()
	f.await("out")
	p.stop()
	got := strings.Split(f.read("out"), "|")
	tick, err := time.Parse(time.RFC3339, got[4])
	if err != nil || got[0] != "/bin/sh" || got[1] != "of the line" || got[2] != "x" || got[5] != strconv.FormatInt(tick.UnixMicro(), 10) || got[6] != "" || got[7] != "of redtick" {
		t.Errorf("got %q", got)
	}
}

// Lines of concurrent jobs stay whole and can be told apart. A run ends with its
// program, and processes that it left behind may still write.
//
// Seen to fail when a line is written in two pieces, when work waits for the
// ends of the pipes, and when it closes them at the end of the program.
func TestCron_output(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=loud", "* * * * * *  i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done; printf end",
		"# redtick: name=other", "* * * * * *  i=0; while [ $i -lt 2000 ]; do echo out$i; i=$((i+1)); done",
		"# redtick: name=leaver", "* * * * * *  mkdir once || exit 0; (i=0; while [ ! -e go ] && [ $i -lt 1000 ]; do sleep 0.02; i=$((i+1)); done; echo still here) & echo gone")
	p := f.cron()
	p.err.await(t, "msg=ended name=leaver")
	p.err.await(t, "msg=ended name=loud")
	p.err.await(t, "msg=ended name=other")
	f.leave("go")
	p.out.await(t, "leaver: still here")
	o := p.stop()
	for line := range strings.Lines(o.stdout) {
		if !regexp.MustCompile(`^((loud|other): (out\d+|end)|leaver: (still here|gone))\n$`).MatchString(line) {
			t.Fatalf("a line is not whole: %q", line)
		}
	}
	has(t, o.stdout, "loud: end\n", "loud: out1999\n", "other: out0\n")
	has(t, o.stderr, "loud: err1999\n")

	f.crontab("# redtick: name=x", "* * * * * *  printf plain; touch raw")
	p = f.cron("--raw")
	f.await("raw")
	if o := p.stop(); !strings.HasPrefix(o.stdout, "plain") {
		t.Errorf("with --raw: %+v", o)
	}
}

// Seen to fail when an exit status is not looked at, without the line's timeout,
// and when only the shell is ended.
func TestCron_outcomes(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=fails", "* * * * * *  exit 3", "# redtick: name=slow timeout=1s", "* * * * * *  sleep 60; echo",
		"# redtick: name=signal", "* * * * * *  kill -9 $$", "# redtick: name=none", "* * * * * *  no-such-program")
	p := f.cron()
	for _, want := range []string{
		`msg=failed name=fails .* error="exit code 3"`, `msg=failed name=signal .* error="exit code 137"`, `msg=failed name=none .* error="exit code 127"`,
		`msg=failed name=slow .* error="timed out after 1s, so the command was ended \(exit code 143\)"`,
	} {
		rule := regexp.MustCompile(want)
		eventually(t, want, func() bool { return rule.MatchString(p.err.String()) })
	}
	p.stop()
}

// Runs of one line do not overlap, and the skipped tick is logged.
//
// Seen to fail when observe does not log it.
func TestCron_overlap(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=x", "* * * * * *  mkdir inside || echo two >> both; echo run >> runs; sleep 1.5; rmdir inside")
	machines := []*process{f.cron(), f.cron()}
	eventually(t, "three runs", func() bool { return strings.Count(f.readSoFar("runs"), "run") >= 3 })
	said := ""
	for _, m := range machines {
		said += m.stop().stderr
	}
	if !regexp.MustCompile(`level=WARN msg="skipped, [^"]*" name=x tick=\S+ holder=\S+ running_tick=`).MatchString(said) {
		t.Errorf("nothing is said of what was skipped:\n%s", said)
	}
	if both := f.readSoFar("both"); both != "" {
		t.Errorf("two runs at a time:\n%s", said)
	}
}

func (f *fleet) exists(file string) bool {
	_, err := os.Stat(filepath.Join(f.dir, file))
	return err == nil
}

func (f *fleet) readSoFar(file string) string {
	text, _ := os.ReadFile(filepath.Join(f.dir, file))
	return string(text)
}

// SIGHUP and SIGUSR2 reload the file: new lines run, a bad file changes nothing and is
// logged, and a run outlives its line.
//
// Seen to fail when a bad file stops the former one, and when a reload waits for runs.
func TestCron_reload(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=old", "* * * * * *  touch old; while [ ! -e go ]; do sleep 0.01; done; touch over")
	p := f.cron()
	f.await("old")
	hup := syscall.SIGHUP
	if signal.Ignored(hup) {
		hup = syscall.SIGUSR2 // the tests run under nohup, and so does the command
	}
	f.crontab("# redtick: name=new", "* * * * * *  echo tick >> new")
	_ = p.Process.Signal(hup)
	f.await("new")
	f.crontab("# redtick: name=new", "61 * * * *  echo tick >> new", "# redtick: name=other", "* * * * * *  touch other")
	_ = p.Process.Signal(syscall.SIGUSR2)
	p.err.await(t, "is not reloaded")
	seen := strings.Count(f.read("new"), "tick")
	eventually(t, "what was read before to run on", func() bool { return strings.Count(f.read("new"), "tick") > seen+1 })
	f.leave("go")
	f.await("over")
	_ = os.Remove(filepath.Join(f.dir, "crontab"))
	_ = p.Process.Signal(hup)
	p.err.await(t, "no such file")
	o := p.stop()
	has(t, o.stderr, `crontab: line 2: the schedule is \"61 * * * *\"`, `msg=ended name=old`)
	if f.exists("other") || o.code != 0 {
		t.Errorf("a part of a bad file was taken: %+v", o)
	}
}

// The first signal lets runs end. The second one ends them, and so does --drain.
//
// Seen to fail when the first signal ends the runs, when two that come at once
// are two, when a second one does nothing, and without the limit.
func TestCron_ends(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=x", `* * * * * *  trap 'echo asked; exit 0' TERM; touch began; while [ ! -e go ]; do sleep 0.01; done; echo done`)
	p := f.cron()
	f.await("began")
	_, _ = p.Process.Signal(syscall.SIGTERM), p.Process.Signal(syscall.SIGTERM) // these are one
	p.err.await(t, "ending: ")
	f.leave("go")
	if o := p.end(); o.code != 0 || o.stdout != "x: done\n" || f.show("x").Held {
		t.Errorf("with one signal: %+v", o)
	}
	for _, args := range [][]string{nil, {"--drain", "200ms"}} {
		_, _ = os.Remove(filepath.Join(f.dir, "go")), os.Remove(filepath.Join(f.dir, "began"))
		p := f.cron(args...)
		f.await("began")
		var o outcome
		if args == nil {
			o = p.insist(syscall.SIGINT)
		} else {
			_ = p.Process.Signal(syscall.SIGINT)
			o = p.end()
		}
		if o.code != 0 || o.stdout != "x: asked\n" || f.show("x").Held {
			t.Errorf("with %v: %+v", args, o)
		}
		has(t, o.stderr, "redtick was told to end, so the command was ended")
	}
}

// Seen to fail when guard does not look at the lease.
func TestCron_lease_is_lost(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=x", `* * * * * *  trap 'echo asked; exit 0' TERM; touch began; while :; do sleep 0.01; done`)
	p := f.cron("-ttl", "3s")
	f.await("began")
	if o := f.redtick("release", "x", "-token", f.show("x").Token); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	p.out.await(t, "x: asked\n")
	p.err.await(t, "the lease is lost, so the command was ended")
	p.stop()
}

// The tick of a machine that dies is run by another, with takeover, and with a
// larger fence.
//
// Seen to fail when the option does not reach the library.
func TestCron_takeover(t *testing.T) {
	f := newFleet(t)
	// A machine does not wait for runs that began before it was up.
	f.crontab("# redtick: name=x takeover", `* * * * * *  [ "$REDTICK_TICK" \> "$(cat from || echo 9)" ] || exit 0; echo ran $REDTICK_TICK $REDTICK_FENCE $REDTICK_TOKEN >> ran; [ -e died ] || exec sleep 60`)
	machines := []*process{f.cron("-ttl", "3s", "-v"), f.cron("-ttl", "3s", "-v")}
	for _, m := range machines {
		m.err.await(t, "crontab is read")
	}
	f.leave("from", time.Now().UTC().Format(time.RFC3339))
	eventually(t, "a run", func() bool { return len(f.lines("ran", "ran")) == 1 })
	first := strings.Fields(f.lines("ran", "ran")[0])
	holder := redlock.HolderOf(first[2])
	if strings.HasSuffix(holder, fmt.Sprint(":", machines[1].Process.Pid)) {
		slices.Reverse(machines)
	}
	// The other one waits for this tick, or else it would not be taken over.
	machines[1].err.await(t, "holder="+holder)
	f.leave("died")
	_ = machines[0].Process.Kill()
	machines[0].end()
	eventually(t, "a second run", func() bool { return len(f.lines("ran", "ran")) > 1 })
	second := strings.Fields(f.lines("ran", "ran")[1])
	if first[0] != second[0] || first[1] >= second[1] || first[2] == second[2] {
		t.Errorf("got the runs\n%s", f.read("ran"))
	}
	machines[1].stop()
}

// Seen to fail when --once claims the next tick, when the history has no
// schedule, when it does not wait for what it runs, and with each exit code
// replaced by 0, and when a line with takeover waits for a majority.
func TestCron_once(t *testing.T) {
	f := newFleet(t)
	hourAgo := time.Now().Add(-time.Hour).UTC()
	f.crontab("CRON_TZ=UTC", "# redtick: name=x", hourAgo.Format("4 15 2 1 *")+"  sleep 0.1; echo ran $REDTICK_TICK >> ran",
		"# redtick: name=never", hourAgo.AddDate(0, -1, 0).Format("4 15 2 1 *")+"  touch never")
	all := []*process{f.start("cron", "--once", "crontab"), f.start("cron", "--once", "crontab")}
	for _, p := range all {
		if o := p.end(); o.code != 0 {
			t.Errorf("%+v", o)
		}
	}
	if ran := f.lines("ran", "ran"); len(ran) != 1 || ran[0] != hourAgo.Truncate(time.Minute).Format(time.RFC3339) || f.exists("never") {
		t.Errorf("ran for %v, want %v", ran, hourAgo.Truncate(time.Minute))
	}
	f.crontab("CRON_TZ=Asia/Tokyo", "# redtick: name=y", "* * * * *  exit 5")
	if o := f.redtick("cron", "--once", "crontab"); o.code != 1 || !strings.Contains(o.stderr, "exit code 5") {
		t.Errorf("a run that failed: %+v", o)
	}
	has(t, f.redtick("runs", "y").stdout, "CRON_TZ=Asia/Tokyo * * * * *", "exit code 5")
	f.crontab("# redtick: name=late catchup=719h59m", "* * * * *  touch late", "# redtick: name="+strings.Repeat("n", 512), "* * * * *  true")
	if o := f.redtick("cron", "--once", "--prefix", strings.Repeat("p", 511)+":", "crontab"); o.code != 0 || !f.exists("late") {
		t.Errorf("the longest of names and times: %+v", o)
	}
	if o := f.redtick("cron", "--once", "--prefix", strings.Repeat("p", 512)+":", "crontab"); o.code != 64 || !strings.Contains(o.stderr, "crontab: line 4: ") {
		t.Errorf("a name that the library refuses: %+v", o)
	}
	f.crontab("# redtick: name=p", "* * * * *  touch p")
	f.redtick("pause", "p")
	if o := f.redtick("cron", "--once", "crontab"); o.code != 0 || f.exists("p") || !strings.Contains(o.stderr, "paused") {
		t.Errorf("a job that is paused: %+v", o)
	}
	f.servers[0].Kill()
	f.servers[1].Kill()
	f.crontab("# redtick: name=z takeover", "* * * * *  touch z") // which would wait for a majority
	if o := f.redtick("cron", "--once", "crontab"); o.code != 2 || f.exists("z") || !strings.Contains(o.stderr, f.servers[0].Addr()) {
		t.Errorf("no majority: %+v", o)
	}
}

// Seen to fail with each of the refusals left out.
func TestCron_refuses(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=x", "* * * * *  true")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no file":   {nil, "0 files are given"},
		"two files": {[]string{"crontab", "crontab"}, "2 files are given"},
		"not there": {[]string{"none"}, "none: no such file"},
		"drain":     {[]string{"-drain", "-1s", "crontab"}, "--drain is -1s"},
		"log":       {[]string{"-log", "xml", "crontab"}, `--log is "xml", must be text or json`},
		"grace":     {[]string{"-ttl", "4s", "-grace", "3s", "crontab"}, "half of --ttl"},
		"two ways":  {[]string{"-once", "-check", "crontab"}, "--check and --once exclude each other"},
		"no nodes":  {[]string{"-nodes", " ", "crontab"}, "no nodes are given"},
		"short ttl": {[]string{"-ttl", "1ms", "crontab"}, "20ms"},
	} {
		t.Run(name, func(t *testing.T) {
			if o := f.redtick(append([]string{"cron"}, c.args...)...); o.code != 64 || !strings.Contains(o.stderr, c.want) {
				t.Errorf("got %+v, want exit code 64 and %q", o, c.want)
			}
		})
	}
	f.crontab("* * * * *", "SHELL=/no/such/shell", "# redtick: name=x", "* * * * *  true")
	if o := f.redtick("cron", "-check", "crontab"); o.code != 64 || !strings.Contains(o.stderr, "crontab: line 1: ") {
		t.Errorf("a bad line: %+v", o)
	}
	f.crontab("SHELL=/no/such/shell", "# redtick: name=x", "* * * * *  true")
	if o := f.redtick("cron", "-check", "crontab"); o.code != 64 || !strings.Contains(o.stderr, "crontab: line 3: the shell cannot be run") {
		t.Errorf("no shell: %+v", o)
	}
}

// --check needs no nodes.
//
// Seen to fail when times are shown in the machine's zone, and without lateness and catchup.
func TestCron_check(t *testing.T) {
	f := newFleet(t)
	f.crontab("CRON_TZ=Asia/Tokyo", "# redtick: name=report takeover timeout=20m lateness=0 catchup=2h", "0 9 * * *  ./report.sh", "@every 90s  true", "MAILTO=me")
	o := redtickIn(t, f.dir, "cron", "--check", "crontab")
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	has(t, o.stdout, "NEXT RUNS", "report ", " 09:00:00 JST", "takeover timeout=20m0s lateness=0s catchup=2h0m0s", "./report.sh", "@every 90s", "true-")
	has(t, o.stderr, "crontab: line 4: the job has no name", "crontab: line 5: MAILTO")
	f.crontab("# nothing")
	if o := redtickIn(t, f.dir, "cron", "--check", "crontab"); o.code != 0 || o.stdout != "crontab: no jobs\n" {
		t.Errorf("%+v", o)
	}
}

func redtickIn(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	return start(t, "", dir, args...).end()
}

// cron does not end when nodes do not answer, and its ticks resume once they do.
func TestCron_nodes_are_out(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=x", "* * * * * *  echo ran $REDTICK_TICK >> ran")
	f.servers[0].Kill()
	f.servers[1].Kill()
	p := f.cron()
	p.err.await(t, "no quorum")
	f.servers[0].Restart()
	f.servers[1].Restart()
	eventually(t, "runs", func() bool { return len(f.lines("ran", "ran")) > 1 })
	if o := p.stop(); o.code != 0 {
		t.Errorf("%+v", o)
	}
}

// A file whose reading blocks, as on a missing disk, delays neither runs nor signals.
//
// Seen to fail when the main thread reads the file: no run, and SIGTERM did nothing.
func TestCron_reload_hangs(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=x", "* * * * * *  echo tick >> x")
	p := f.cron()
	path := filepath.Join(f.dir, "crontab")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = p.Process.Signal(syscall.SIGUSR2)
	var end *os.File // of the writer, which has nothing to say
	eventually(t, "the file to be opened", func() (ok bool) {
		w, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		end = w
		return err == nil
	})
	defer end.Close()
	seen := len(f.readSoFar("x"))
	eventually(t, "runs to go on", func() bool { return len(f.readSoFar("x")) > seen+len("tick\n") })
	if o := p.stop(); o.code != 0 {
		t.Errorf("%+v", o)
	}
}
