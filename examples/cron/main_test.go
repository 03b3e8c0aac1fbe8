//go:build unix

package main

import (
	"testing"

	"github.com/redtick/redtick/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// What the examples have in common is tested in examples/gocron.
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
			program.Play(t, "", c.status, append(c.lines, "^"+c.last+"$"), c.args...)
		})
	}
}
