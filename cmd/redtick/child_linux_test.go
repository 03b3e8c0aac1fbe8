package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// redtick adopts and reaps the processes that the program leaves behind, and keeps the program's exit code.
//
// Seen to fail without adoptOrphans, and when it waits for the program as well.
func TestRun_reaps_orphans(t *testing.T) {
	f := newFleet(t)
	for i := range 5 {
		left := fmt.Sprint("left", i)
		p := f.start("run", "-name", fmt.Sprint(i), "--", "sh", "-c", `for n in 1 2 3 4 5 6 7 8 9; do (sleep 0.0$n &); done
			((sleep 0.3; exec sh -c 'echo $PPID > parent; mv parent `+left+`') &)
			while [ ! -e go ]; do sleep 0.01; done; exit 7`)
		f.await(left)
		if parent := strings.TrimSpace(f.read(left)); parent != strconv.Itoa(p.Process.Pid) {
			t.Errorf("the parent of an orphan is %s, want redtick, %d", parent, p.Process.Pid)
		}
		eventually(t, "all zombies to end", func() bool { return zombies(t, p.Process.Pid) == 0 })
		f.leave("go")
		if o := p.end(); o.code != 7 {
			t.Errorf("%+v, want the program's exit code 7", o)
		}
		_ = os.Remove(filepath.Join(f.dir, "go"))
	}
}

// reap never waits for the program itself, even if orphans end at the same moment.
func TestRun_reaps_orphans_at_the_end(t *testing.T) {
	f := newFleet(t)
	for i := range 20 {
		p := f.start("run", "-name", fmt.Sprint(i), "--", "sh", "-c", `for n in 1 2 3 4 5 6 7 8 9; do (sleep 0.02 &); done; sleep 0.02; exit 7`)
		if o := p.end(); o.code != 7 {
			t.Fatalf("%+v, want the program's exit code 7", o)
		}
	}
}

// zombies counts the zombie children of a process.
func zombies(t *testing.T, parent int) (n int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(text), ") ") // behind the name of the program
		if f := strings.Fields(rest); len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(parent) {
			n++
		}
	}
	return n
}
