//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/redtick/redtick/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// Seen to fail when the second process has a prefix of its own (each tick is
// run twice), and when none is started after the first one (it is killed).
func TestExample(t *testing.T) {
	out, err := program.Command("", "-ticks", "6").CombinedOutput()
	// On a busy machine the kill may come when the next tick runs already. Its lock then lives on for some ticks.
	for try := 0; try < 2 && err != nil && strings.Contains(string(out), " more=0 "); try++ {
		t.Logf("%s", out)
		out, err = program.Command("", "-ticks", "6").CombinedOutput()
	}
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, want := range []string{
		`^2 processes, one crontab, 3 embedded Redis nodes$`, `^[AB]  pulse: tick \d`, `^[AB]  report: reported, with fence \d+$`,
		`^kill -9 \d+: [AB], which ran the last tick, is dead$`,
	} {
		if !regexp.MustCompile("(?m)" + want).Match(out) {
			t.Errorf("no line matches %q", want)
		}
	}
	if !strings.HasSuffix(string(out), "\nticks=6 once=6 more=0 missed=0\n") {
		t.Error("not every tick was run once")
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
