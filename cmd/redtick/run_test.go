//go:build unix

package main_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Seen to fail when run releases the lease before the program has ended.
func TestRun_never_two_at_once(t *testing.T) {
	f := newFleet(t)
	const loop = `for i in 1 2 3 4 5; do "$0" run -name loop -- sh -c '
		mkdir inside || echo two >> log
		sleep 0.02
		echo one >> log
		rmdir inside'; done`
	if err := os.WriteFile(filepath.Join(f.dir, "loop"), []byte(loop), 0o600); err != nil {
		t.Fatal(err)
	}
	both := []*process{f.shell("loop"), f.shell("loop")}
	for _, p := range both {
		if o := p.end(); o.code != 0 {
			t.Errorf("%+v", o)
		}
	}
	if log := f.read("log"); log != strings.Repeat("one\n", 10) {
		t.Errorf("want ten runs, one at a time:\n%s", log)
	}
}

// shell runs a script, as a crontab would.
func (f *fleet) shell(script string) *process {
	f.t.Helper()
	return f.start("run", "-name", "shell"+strconv.Itoa(int(time.Now().UnixNano())), "--", "sh", "-c", `. ./`+script, binary)
}

// Seen to fail with each code replaced by 1; with exec.LookPath left out (a
// lease is taken for a program that is not there); with the lock's wait without
// its limit; with the texts of a refusal as the core has them.
func TestRun_exit_codes(t *testing.T) {
	f := newFleet(t)
	f.hold("held")
	for _, c := range []struct {
		name string
		code int
		args []string
		want string
	}{
		{"the program's", 3, []string{"-name", "x", "--", "sh", "-c", "exit 3"}, ""},
		{"the name's short form", 4, []string{"-n", "x", "--", "sh", "-c", "exit 4"}, ""},
		{"a signal", 137, []string{"-name", "x", "--", "sh", "-c", "kill -9 $$"}, ""},
		{"taken", 75, []string{"-name", "held", "-try", "--", "true"}, "leave --try out to wait"},
		{"taken, code given", 0, []string{"-name", "held", "-try", "-taken-code=0", "-v", "--", "true"}, "taken by another owner"},
		{"waited too long", 75, []string{"-name", "held", "-wait", "200ms", "--", "true"}, "waiting for \"held\", which "},
		{"waited too long, told once", 75, []string{"-name", "held", "-wait", "200ms", "--", "true"}, "\nredtick: \"held\" was not free within 200ms; give --wait more time"},
		{"not there", 127, []string{"-name", "held", "-try", "--", "no-such-program"}, "not found"},
		{"a path that is not there", 127, []string{"-name", "held", "-try", "--", "./none"}, "no such file"},
		{"not a program", 126, []string{"-name", "x", "--", f.dir + "/holding"}, "permission denied"},
		{"no name", 64, []string{"--", "true"}, "--name is missing"},
		{"no dashes", 64, []string{"-name", "x", "true"}, "behind --"},
		{"before the dashes", 64, []string{"-name", "x", "true", "--", "false"}, `"true" stands before --`},
		{"no program", 64, []string{"-name", "x", "--"}, "no program is given"},
		{"short ttl", 64, []string{"-name", "x", "-ttl", "1ms", "--", "true"}, "20ms"},
		{"long grace", 64, []string{"-name", "x", "-ttl", "4s", "-grace", "3s", "--", "true"}, "half of --ttl"},
		{"two ways to wait", 64, []string{"-name", "x", "-try", "-wait", "1s", "--", "true"}, "--try and --wait exclude each other; leave one out"},
		{"not a tick", 64, []string{"-name", "x", "-tick", "soon", "--", "true"}, `--tick is "soon"`},
		{"old tick", 64, []string{"-name", "x", "-tick", "2020-01-01T00:00:00Z", "--", "true"}, "remembered for 15m0s; check this machine's clock\n"},
		{"future tick", 64, []string{"-name", "x", "-tick", "2999-01-01T00:00:00Z", "--", "true"}, "at most 5m0s is allowed; check this machine's clock\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := f.redtick(append([]string{"run"}, c.args...)...)
			if o.code != c.code || !strings.Contains(o.stderr, c.want) || o.stdout != "" {
				t.Errorf("got %+v, want exit code %d and %q", o, c.code, c.want)
			}
		})
	}
	f.servers[0].Kill()
	f.servers[1].Kill()
	if o := f.redtick("run", "-name", "x", "--", "true"); o.code != 69 || !strings.Contains(o.stderr, f.servers[1].Addr()) {
		t.Errorf("no quorum: %+v, want exit code 69", o)
	}
}

// Cron mails all output of jobs, so machines without work must print nothing.
//
// Seen to fail when a refusal is printed whatever its exit code, and when a refused subscription is.
func TestRun_silent_in_cron(t *testing.T) {
	f := newFleet(t)
	f.hold("held")
	tick := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	claim := []string{"-name", "job", "-tick", tick}
	if o := f.redtick(append(append([]string{"run"}, claim...), "--", "true")...); o.code != 0 {
		t.Fatalf("the first claim: %+v", o)
	}
	f.redtick("pause", "paused")
	for name, args := range map[string][]string{
		"held":            {"-name", "held", "-try"},
		"waited too long": {"-name", "held", "-wait", "100ms"},
		"tick was run":    claim,
		"paused":          {"-name", "paused", "-tick", tick},
	} {
		t.Run(name, func(t *testing.T) {
			args = append(append([]string{"run", "-taken-code", "0"}, args...), "--", "touch", "never")
			if o := f.redtick(args...); o.code != 0 || o.all() != "" {
				t.Errorf("%+v, want exit code 0 and no word", o)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(f.dir, "never")); err == nil {
		t.Error("the program was run")
	}
	for _, s := range f.servers {
		if _, err := s.Do("ACL", "SETUSER", "default", "resetchannels"); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("no subscription", func(t *testing.T) {
		args := []string{"run", "-taken-code", "0", "-name", "held", "-wait", "5s", "--", "true"}
		if o := f.redtick(args...); o.code != 0 || o.all() != "" {
			t.Errorf("%+v, want exit code 0 and no word", o)
		}
		has(t, f.redtick(slices.Insert(args, 1, "-v")...).stderr, "notices from this node are not heard")
	})
	f.servers[0].Kill()
	t.Run("a node is out", func(t *testing.T) {
		args := []string{"run", "-taken-code", "0", "-name", "long", "--", "sleep", "2"}
		if o := f.redtick(args...); o.code != 0 || o.all() != "" {
			t.Errorf("%+v, want exit code 0 and no word", o)
		}
		has(t, f.redtick(slices.Insert(args, 1, "-v")...).stderr, "node is out")
	})
}

// Seen to fail without doubleDashes, with a doubleDashes that goes on behind
// "--", and with any of the variables left out.
func TestRun_passes_everything_through(t *testing.T) {
	f := newFleet(t)
	in := filepath.Join(f.dir, "in")
	if err := os.WriteFile(in, []byte("in\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := f.start("run", "-name", "lines", "-nodes", f.addrs, "--", "sh", "-c", `"$0" run -name=x -fence -- sh -c '
		cat; echo "$1 $2"; echo "$REDTICK_NAME ${REDTICK_TOKEN:?} ${REDTICK_FENCE:?}" >&2' sh -name -- < in`, binary)
	o := p.end()
	if o.code != 0 || o.stdout != "in\n-name --\n" || len(strings.Fields(o.stderr)) != 3 || !strings.HasPrefix(o.stderr, "x ") {
		t.Errorf("%+v", o)
	}
}

// Seen to fail when -tick locks instead of claiming, when the environment of run
// is handed on as it is, and, for the period, without the longer retention
// (unless it is before 00:15 UTC).
func TestRun_tick(t *testing.T) {
	f := newFleet(t)
	tick := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	all := make([]*process, 4)
	for i := range all {
		all[i] = f.start("run", "-name", "job", "-tick", tick, "--", "sh", "-c", `echo "$REDTICK_TICK" >> ran`)
	}
	codes := map[int]int{}
	for _, p := range all {
		codes[p.end().code]++
	}
	if ran := f.read("ran"); ran != tick+"\n" || codes[0] != 1 || codes[75] != 3 {
		t.Errorf("one of four runs the tick %s: exit codes %v, ran %q", tick, codes, ran)
	}
	if o := f.redtick("run", "-name", "daily", "-tick", "24h", "--", "true"); o.code != 0 {
		t.Errorf("a period: %+v", o)
	}
	nested := []string{"run", "-name", "outer", "-tick", tick, "--", binary, "run", "-name", "inner", "--", "sh", "-c", `echo "$REDTICK_NAME[$REDTICK_TICK$REDTICK_FENCE]"`}
	if o := f.redtick(nested...); o.code != 0 || o.stdout != "inner[]\n" {
		t.Errorf("a lock within a tick has the tick's variables: %+v", o)
	}
}

// beats repeatedly writes the time, ignores SIGTERM, and has a child that does the
// same.
const beats = `trap '' TERM; (while :; do date +%s%N >> inner; sleep 0.01; done) & touch began
	while :; do date +%s%N >> beat; sleep 0.01; done`

func (f *fleet) lastBeat(file string) time.Time {
	f.t.Helper()
	lines := strings.Split(f.read(file), "\n") // what stands after the last end of line may be half a time
	ns, err := strconv.ParseInt(lines[len(lines)-2], 10, 64)
	if err != nil {
		f.t.Fatal(err)
	}
	return time.Unix(0, ns)
}

// There are three tries, for busy machines.
//
// Seen to fail when attend waits for the end of the lease itself (the program
// outlives it by the grace), when child.kill sends SIGTERM, and when only the
// first process of the group is killed.
func TestRun_lost_to_silent_nodes(t *testing.T) {
	for try := 1; ; try++ {
		late := lostToSilentNodes(t)
		if late <= 0 {
			return
		}
		if try == 3 {
			t.Fatalf("the program was at work %v after the lease had ended", late)
		}
	}
}

// lostToSilentNodes returns how much later than its lease the program ended.
func lostToSilentNodes(t *testing.T) time.Duration {
	t.Helper()
	f := newFleet(t)
	p := f.start("run", "-name", "x", "-ttl", "1500ms", "-grace", "500ms", "--", "sh", "-c", beats)
	f.await("began")
	for _, s := range f.servers {
		s.Pause()
	}
	end := time.Now().Add(1500 * time.Millisecond)
	o := p.end()
	if o.code != 79 || !strings.Contains(o.stderr, "the lease was not renewed in time; ending") {
		t.Errorf("%+v, want exit code 79", o)
	}
	return max(f.lastBeat("beat").Sub(end), f.lastBeat("inner").Sub(end))
}

// Seen to fail when attend does not look at the lease's context (it ends 5 s
// after the last renewal then, not at the next), and when end does not ask
// before it kills.
func TestRun_lost_by_force(t *testing.T) {
	f := newFleet(t)
	p := f.start("run", "-name", "x", "-ttl", "6s", "--", "sh", "-c", `trap 'echo asked; exit 0' TERM; touch began; while :; do sleep 0.01; done`)
	f.await("began")
	begin := time.Now()
	if o := f.redtick("release", "x", "-token", f.show("x").Token); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	o := p.end()
	if took := time.Since(begin); o.code != 79 || o.stdout != "asked\n" || took > 4*time.Second {
		t.Errorf("%+v after %v, want exit code 79 within a third of 6 s, and a program that was asked to end", o, took)
	}
}

// Seen to fail when guard ignores the error of Unlock.
func TestRun_lost_before_the_end(t *testing.T) {
	f := newFleet(t)
	p := f.start("run", "-name", "x", "--", "sh", "-c", "touch began; while [ ! -e go ]; do sleep 0.01; done")
	f.await("began")
	for _, s := range f.servers {
		if _, err := s.Do("SET", "x", "another's"); err != nil {
			t.Fatal(err)
		}
	}
	f.leave("go")
	if o := p.end(); o.code != 79 || !strings.Contains(o.stderr, "with code 0") {
		t.Errorf("%+v, want exit code 79", o)
	}
}

// Seen to fail when child.forward does nothing, when it reaches the first
// process only, and when acquire does not listen.
func TestRun_signals(t *testing.T) {
	f := newFleet(t)
	p := f.start("run", "-name", "x", "--", "sh", "-c", `trap 'echo usr1' USR1; trap 'wait; exit 5' TERM
		sh -c 'trap "echo inner; exit 0" TERM; touch began; while :; do sleep 0.01; done' &
		while :; do sleep 0.01; done`)
	f.await("began")
	waiting := f.start("run", "-name", "x", "--", "touch", "never")
	eventually(t, "a waiter", func() bool { return f.show("x").Waiters == 1 })
	_ = waiting.Process.Signal(syscall.SIGTERM)
	if o := waiting.end(); o.code != 143 {
		t.Errorf("a waiter: %+v, want exit code 143", o)
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	if o := p.end(); o.code != 5 || !strings.Contains(o.stdout, "inner") {
		t.Errorf("%+v, want exit code 5 and the whole group told", o)
	}
	if n := f.show("x"); n.Held {
		t.Errorf("it is still held: %+v", n)
	}
}

// Seen to fail when SIGTERM alone is passed on: it stays pending, and run waits forever.
func TestRun_signal_to_a_stopped_program(t *testing.T) {
	f := newFleet(t)
	p := f.start("run", "-name", "x", "--", "sh", "-c", "(sleep 0.2; touch began) & kill -STOP $$")
	f.await("began")
	_ = p.Process.Signal(syscall.SIGTERM)
	if o := p.end(); o.code != 143 {
		t.Errorf("%+v, want exit code 143", o)
	}
}

// Seen to fail without Pdeathsig.
func TestRun_killed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends the program of a run that was killed")
	}
	f := newFleet(t)
	p := f.start("run", "-name", "x", "--", "sh", "-c", "echo $$ > pid; mv pid began; exec sleep 60")
	f.await("began")
	pid, err := strconv.Atoi(strings.TrimSpace(f.read("began")))
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Process.Kill()
	p.end()
	eventually(t, "the program to end", func() bool { return syscall.Kill(pid, 0) != nil })
}
