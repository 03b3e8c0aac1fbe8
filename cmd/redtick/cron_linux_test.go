package main_test

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// As PID 1 of a container, cron is the parent of the processes that commands leave
// behind. It reaps them, does not mix up exit statuses, and ends on SIGTERM.
//
// Seen to fail without adoptOrphans, and when reap waits for programs as well.
func TestCron_pid_1(t *testing.T) {
	f := newFleet(t)
	orphans := `for n in 1 2 3 4 5 6 7 8 9; do (sleep 0.0$n &); done; `
	f.crontab("# redtick: name=leaver", "* * * * * *  "+orphans+"echo $PPID > parent; mv parent left; while [ ! -e go ]; do sleep 0.01; done",
		"# redtick: name=fails", "* * * * * *  while [ ! -e go ]; do sleep 0.01; done; "+orphans+"sleep 0.05; exit 7")
	p := f.prepare("cron", "crontab")
	p.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := p.Start(); err != nil {
		t.Skipf("no namespace for process ids: %v", err)
	}
	f.await("left")
	eventually(t, "all zombies to end", func() bool { return zombies(t, p.Process.Pid) == 0 })
	f.leave("go")
	eventually(t, "some runs that fail", func() bool { return strings.Count(p.err.String(), `error="exit code 7"`) > 2 })
	_ = p.Process.Signal(syscall.SIGTERM)
	if o := p.end(); o.code != 0 || f.read("left") != "1\n" || strings.Contains(strings.ReplaceAll(o.stderr, `error="exit code 7"`, ""), "error=") {
		t.Errorf("parent %q: %+v", f.read("left"), o)
	}
}

// If PID 1 is not an init, a command's killed children would stay zombies of its group. The run must end nevertheless.
//
// Seen to fail without PR_SET_CHILD_SUBREAPER: it lasts for the grace.
func TestCron_timeout_orphan(t *testing.T) {
	f := newFleet(t)
	f.crontab("# redtick: name=report timeout=1s", "* * * * * *  sleep 1000; true")
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil { // we wait for no orphan
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	p := f.start("cron", "--ttl", "24h", "--grace", "12h", "crontab")
	p.err.await(t, "timed out after 1s")
	_ = p.Process.Signal(syscall.SIGTERM)
	if o := p.end(); o.code != 0 {
		t.Errorf("%+v", o)
	}
}
