//go:build unix

package main

import (
	"testing"

	"github.com/redtick/redtick/examples/internal/program"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// What the examples have in common is tested in examples/gocron.
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
			program.Play(t, "", c.status, append(c.lines, "^"+c.last+"$"), c.args...)
		})
	}
}

// On real nodes nothing is left. Mutation: no forget.
func TestExample_real_Redis(t *testing.T) {
	t.Parallel()
	servers := redisserver.StartN(t, 3)
	program.Play(t, program.Addrs(servers), 0, []string{`^ticks=3 once=3 more=0 missed=0$`}, "-ticks", "3", "-no-kill")
	program.LeavesNothing(t, servers)
}
