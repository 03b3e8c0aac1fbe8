//go:build unix

package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// asProgram makes the test's own binary the program.
const asProgram = "REDTICK_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Seen to fail when the second process has a prefix of its own (each tick is
// run twice), and when none is started after the first one (it is killed).
func TestExample(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-ticks", "6")
	cmd.Env = append(os.Environ(), "REDIS_ADDRS=", asProgram+"=1")
	out, err := cmd.CombinedOutput()
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
