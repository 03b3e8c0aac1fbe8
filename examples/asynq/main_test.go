//go:build unix

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/redtick/redtick/examples/internal/program"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// What the shows have in common is tested with that of gocron.
//
// Mutations that were made and seen to fail here: kind ignored in start (stock);
// no WithClock (redtick, which looks at when a replica asks);
// oncePerTick ignored (stock-once).
func TestExample(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		lines  []string
		last   string
		status int
	}{
		"redtick": {
			// Two are late by 300 ms, since one may be busy running each tick until it is killed.
			args: []string{"-ticks", "4", "-replicas", "4", "-skew", "0s,+200ms,-300ms,-300ms"},
			lines: []string{
				`^4 replicas, one asynq queue and schedule, 3 embedded Redis nodes$`,
				`pulse .*RAN +-\d+ ms`,
				`pulse .*done +\+[3-9]\d\d ms`,
				`kill -9 \d+: replica [A-D]`,
			},
			last: `ticks=4 once=4 more=0 missed=0`,
		},
		"stock": {
			args:   []string{"-ticks", "3", "-no-kill", "-scheduler", "stock"},
			lines:  []string{`pulse .*RAN.* <- ran [23] times$`},
			last:   `ticks=3 once=[0-2] more=[1-3] missed=0`,
			status: 1,
		},
		"stock-once": {
			args:  []string{"-ticks", "5", "-scheduler", "stock-once"},
			lines: []string{`pulse .*RAN`, `kill -9 \d+: replica [ABC]`},
			last:  `ticks=5 once=5 more=0 missed=0`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			show(t, "", c.status, append(c.lines, "^"+c.last+"$"), c.args...)
		})
	}
}

// On real nodes nothing is left. Mutation: no forget.
func TestExample_real_Redis(t *testing.T) {
	t.Parallel()
	servers := redisserver.StartN(t, 3)
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr())
	}
	show(t, strings.Join(addrs, ","), 0, []string{`^ticks=3 once=3 more=0 missed=0$`}, "-ticks", "3", "-no-kill")
	for _, s := range servers {
		if left, err := s.Do("KEYS", "*"); err != nil || fmt.Sprint(left) != "[]" {
			t.Errorf("keys left on %s: %v %v", s.Addr(), left, err)
		}
	}
}

// show plays one to its end, and checks lines and that the last of them is the last one wanted.
func show(t *testing.T, addrs string, status int, wanted []string, args ...string) {
	t.Helper()
	cmd := program.Command(addrs, args...)
	out, err := cmd.CombinedOutput()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, want %d", got, status)
	}
	for _, want := range wanted {
		if !regexp.MustCompile("(?m)" + want).Match(out) {
			t.Errorf("no line matches %q", want)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; !regexp.MustCompile(wanted[len(wanted)-1]).MatchString(last) {
		t.Errorf("the last line is %q", last)
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
