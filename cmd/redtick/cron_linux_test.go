package main_test

import (
	"strings"
	"syscall"
	"testing"
)

// As PID 1 of a container, cron is the parent of whatever commands leave
// behind. None of that stays a zombie, no command's exit status is taken for
// one of theirs, and SIGTERM ends it.
//
// Seen to fail without adoptOrphans, and when reap waits for programs as well.
func TestCron_pid_1(t *testing.T) {
	f := newFleet(t)
	orphans := `for n in 1 2 3 4 5 6 7 8 9; do (sleep 0.0$n &); done; `
	f.crontab("# redtick: name=leaver", "* * * * * *  "+orphans+"echo $PPID >> parents",
		"# redtick: name=fails", "* * * * * *  "+orphans+"sleep 0.05; exit 7")
	p := f.prepare("cron", "crontab")
	p.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := p.Start(); err != nil {
		t.Skipf("no namespace for process ids: %v", err)
	}
	eventually(t, "five runs", func() bool { return strings.Count(f.readSoFar("parents"), "1\n") >= 5 })
	eventually(t, "all zombies to end", func() bool { return zombies(t, p.Process.Pid) == 0 })
	_ = p.Process.Signal(syscall.SIGTERM)
	o := p.end()
	failed, began := strings.Count(o.stderr, `error="exit status 7"`), strings.Count(o.stderr, "msg=began name=fails")
	if o.code != 0 || failed != began || failed == 0 || strings.Trim(f.read("parents"), "1\n") != "" {
		t.Errorf("%d of %d runs failed as they should, parents %q: %+v", failed, began, f.read("parents"), o)
	}
}
