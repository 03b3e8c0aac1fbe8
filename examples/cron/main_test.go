//go:build unix

package main

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/redtick/redtick/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// What the shows have in common is tested with that of gocron.
//
// Mutations that were made and seen to fail here: addJobs and addRedsyncStyle
// swapped in add (both); no WithClock (runs_each_tick_once); no shift
// (runs_each_tick_once, which looks at when a replica asks).
func TestExample(t *testing.T) {
	cases := map[string]struct {
		args   []string
		lines  []string
		last   string
		status int
	}{
		"runs each tick once": {
			args: []string{"-ticks", "4", "-skew", "0s,+200ms,-300ms"},
			lines: []string{
				`^3 replicas, one cron schedule, 3 embedded Redis nodes$`,
				`pulse .* -\d+ ms .* \+[3-9]\d\d ms$`,
				`kill -9 \d+: replica [ABC]`,
			},
			last: `ticks=4 once=4 more=0 missed=0`,
		},
		"redsync style runs ticks again": {
			args:   []string{"-ticks", "3", "-no-kill", "-locker", "redsync-style"},
			lines:  []string{`pulse .*RAN.*RAN.* <- ran [23] times$`},
			last:   `ticks=3 once=[0-2] more=[1-3] missed=0`,
			status: 1,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := program.Command("", c.args...)
			out, err := cmd.CombinedOutput()
			if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("exit status %d, want %d", got, c.status)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			for _, want := range append(c.lines, "^"+c.last+`$`) {
				if !regexp.MustCompile("(?m)" + want).Match(out) {
					t.Errorf("no line matches %q", want)
				}
			}
			if !regexp.MustCompile(c.last).MatchString(lines[len(lines)-1]) {
				t.Errorf("the last line is %q", lines[len(lines)-1])
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}
