//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redtick/redtick/examples/internal/program"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Mutations that were made and seen to fail here:
//   - the two lockers swapped in start: runs_each_tick_once, redsync_style
//   - LockerOptions without the prefix, play without sweep: real_Redis (keys are left)
//   - dial wants every node, serve returns Close's error: a_node_is_down
//   - runReplica does not read os.Stdin: an_interrupt, runs_each_tick_once
//   - runReplica does not ignore os.Interrupt: an_interrupt

func TestMain(m *testing.M) { program.Main(m, main) }

const clean = `ticks=%d once=%[1]d more=0 missed=0`

func TestExample_runs_each_tick_once(t *testing.T) {
	t.Parallel()
	d := play(t, "", "-ticks", "4")
	d.end(t, fmt.Sprintf(clean, 4), 0)
	for _, want := range []string{
		`^3 replicas, one gocron schedule, 3 embedded Redis nodes$`,
		`clock -300ms$`,
		// A loser that asks while the run is under way finds the tick taken.
		`pulse .*RAN .*(done|taken) .*(done|taken)|pulse .*(done|taken) .*RAN .*(done|taken)|pulse .*(done|taken) .*(done|taken) .*RAN`,
		`kill -9 \d+: replica [ABC], which ran the last tick, is dead\.$`,
		`pulse .*killed`,
		`^\d+ runs, .* both agree\.$`,
	} {
		if !d.contains(want) {
			t.Errorf("no line matches %q", want)
		}
	}
	if d.contains("\x1b") {
		t.Error("control sequences on what is no terminal")
	}
}

func TestExample_real_Redis(t *testing.T) {
	t.Parallel()
	servers := redisserver.StartN(t, 3)
	d := play(t, program.Addrs(servers), "-ticks", "3", "-no-kill", "-replicas", "4")
	d.end(t, fmt.Sprintf(clean, 3), 0)
	if d.contains("kill -9|killed") || !d.contains("^4 replicas") {
		t.Error("want 4 replicas and none killed")
	}
	program.LeavesNothing(t, servers)
}

func TestExample_a_node_is_down(t *testing.T) {
	t.Parallel()
	servers := redisserver.StartN(t, 3)
	servers[1].Kill()
	play(t, program.Addrs(servers), "-ticks", "2", "-skew", "0s,1ms").end(t, fmt.Sprintf(clean, 2), 0)
}

func TestExample_redsync_style_runs_ticks_again(t *testing.T) {
	t.Parallel()
	d := play(t, "", "-ticks", "3", "-no-kill", "-locker", "redsync-style")
	d.end(t, `ticks=3 once=[0-2] more=[1-3] missed=0`, 1)
	if !d.contains(`pulse .*RAN.*RAN.* <- ran [23] times$`) {
		t.Error("no line shows a tick that ran again")
	}
}

func TestExample_an_interrupt_stops_all(t *testing.T) {
	t.Parallel()
	d := play(t, "", "-ticks", "0", "-skew", "0s")
	d.next(" pulse .*RAN")
	d.next(" pulse .*RAN")
	// The second may not count yet: another job's row of that instant may be open.
	// As a terminal does for Ctrl-C: to all of them.
	if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Error(err)
	}
	d.end(t, `ticks=[1-9] once=[1-9] more=0 missed=0`, 0)
}

func TestExample_a_killed_parent_leaves_no_replica(t *testing.T) {
	t.Parallel()
	d := play(t, "", "-ticks", "0")
	d.next(" pulse .*RAN")
	_ = d.cmd.Process.Kill()
	d.end(t, `.*`, -1)
}

func TestExample_refuses_an_unknown_locker(t *testing.T) {
	t.Parallel()
	out, err := program.Command("", "-locker", "zookeeper").CombinedOutput()
	if err == nil || !matches(string(out), `invalid value "zookeeper" for flag -locker: must be "redtick" or "redsync-style"`) {
		t.Errorf("%v: %s", err, out)
	}
}

// show is a running example.
type show struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	lines  []string
	line   *bufio.Scanner
}

// play begins a run on the embedded Redis or, if given, on these nodes.
func play(t *testing.T, addrs string, args ...string) *show {
	t.Helper()
	d := &show{cmd: program.Command(addrs, args...)}
	d.cmd.Env = append(d.cmd.Env, "TMPDIR="+t.TempDir())
	d.cmd.Stderr = &d.stderr
	d.cmd.WaitDelay = 10 * time.Second
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(40*time.Second, func() { _ = d.cmd.Process.Kill() })
	t.Cleanup(func() {
		stuck.Stop()
		_ = d.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("%s\n%s", strings.Join(d.lines, "\n"), &d.stderr)
		}
	})
	d.line = bufio.NewScanner(out)
	return d
}

// next reads on to a line that matches, or to the end.
func (d *show) next(pattern string) bool {
	for d.line.Scan() {
		d.lines = append(d.lines, d.line.Text())
		if matches(d.line.Text(), pattern) {
			return true
		}
	}
	return false
}

// end reads the rest and checks the last line, the exit status, and that no
// process is left.
func (d *show) end(t *testing.T, last string, status int) {
	t.Helper()
	d.next("^$never")
	_ = d.cmd.Wait()
	if got := d.cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, want %d", got, status)
	}
	if len(d.lines) == 0 || !matches(d.lines[len(d.lines)-1], "^"+last+"$") {
		t.Errorf("the last line does not match %q", last)
	}
	d.mustBeGone(t)
}

func (d *show) contains(pattern string) bool {
	return matches(strings.Join(d.lines, "\n"), pattern)
}

// mustBeGone waits as long as replicas may live after their parent's death.
func (d *show) mustBeGone(t *testing.T) {
	t.Helper()
	processes := regexp.MustCompile(`replica .   process (\d+)`).FindAllStringSubmatch(strings.Join(d.lines, "\n"), -1)
	if len(processes) == 0 {
		t.Error("no replica told its process")
	}
	for _, p := range processes {
		pid, _ := strconv.Atoi(p[1])
		for deadline := time.Now().Add(8 * time.Second); lives(pid); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("process %d is left", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
	}
}

// lives reports whether a process runs. A zombie does not.
func lives(pid int) bool {
	if runtime.GOOS == "linux" {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && !bytes.Contains(stat, []byte(") Z ")) && !bytes.Contains(stat, []byte(") X "))
	}
	return syscall.Kill(pid, 0) == nil
}

func matches(text, pattern string) bool {
	return regexp.MustCompile("(?m)" + pattern).MatchString(text)
}
