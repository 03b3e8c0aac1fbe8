//go:build unix

package main_test

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// terminal is a redtick with a terminal.
type terminal struct {
	*exec.Cmd
	t      *testing.T
	keys   io.Writer
	screen written
}

func (f *fleet) terminal(command string) *terminal {
	f.t.Helper()
	if _, err := exec.LookPath("script"); err != nil {
		f.t.Skip("there is no script(1) to make a terminal with")
	}
	p := &terminal{Cmd: exec.CommandContext(f.t.Context(), "script", "-qec", command, "/dev/null"), t: f.t}
	p.Env = append(os.Environ(), "REDIS_ADDRS="+f.addrs, "SHELL=/bin/sh", "REDTICK="+binary)
	p.Dir, p.Stdout, p.WaitDelay = f.dir, &p.screen, 5*time.Second
	keys, err := p.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	p.keys = keys
	if err := p.Start(); err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (p *terminal) press(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keys, keys); err != nil {
		p.t.Fatal(err)
	}
}

func (p *terminal) end() (screen string, code int) {
	_ = p.Wait()
	return p.screen.String(), p.ProcessState.ExitCode()
}

const controlC = "\x03"

// Seen to fail when a terminal gets lines too, and when the height of a terminal
// is taken for two rows at least, and when the first frame takes the second one's heading apart.
func TestWatch_terminal(t *testing.T) {
	f := newFleet(t)
	f.hold("report")
	for rows, want := range map[string]string{"24": "HOLDER", "1": "below the screen"} {
		p := f.terminal(`stty rows ` + rows + ` cols 80; TZ=UTC exec "$REDTICK" watch --interval 100ms`)
		eventually(t, "three frames with "+want, func() bool { return strings.Count(p.screen.String(), want) > 2 })
		p.press(controlC)
		screen, code := p.end()
		has(t, screen, "\x1b[H", "\x1b[J", want)
		if code != 0 || strings.Contains(screen, "report") != (rows == "24") {
			t.Errorf("%s rows: exit code %d, want 0; screen:\n%s", rows, code, screen)
		}
	}
}

// Seen to fail when the answer is ignored, when it is inverted, and when the question is in the JSON.
func TestRelease_asks_on_a_terminal(t *testing.T) {
	f := newFleet(t)
	f.hold("report")
	token := f.show("report").Token
	inJSON := f.terminal(`exec "$REDTICK" release report -o json`)
	inJSON.press("n\n")
	if screen, code := inJSON.end(); code != 1 || strings.Contains(screen, "[y/N]") {
		t.Errorf("in JSON: exit code %d; screen:\n%s", code, screen)
	}
	for _, c := range []struct {
		answer string
		code   int
	}{{"\n", 1}, {"n\n", 1}, {"y\n", 0}} {
		p := f.terminal(`exec "$REDTICK" release report`)
		p.press(c.answer)
		screen, code := p.end()
		has(t, screen, token, "release it? [y/N]")
		if held := f.show("report").Token == token; code != c.code || held != (c.code == 1) {
			t.Errorf("%q: exit code %d, still held: %v", c.answer, code, held)
		}
	}
}

// Seen to fail when the program is a group of its own (Ctrl-C reaches it once
// too, but its input does not), and when Ctrl-C is passed on as well, which the
// shell notices apart as long as it waits.
func TestRun_terminal(t *testing.T) {
	f := newFleet(t)
	p := f.terminal(`exec "$REDTICK" run -name x -- sh -c '
		trap "echo got >> log" INT
		read line; echo "$line" > line; touch began
		while [ ! -e go ]; do sleep 0.1 & wait; done; exit 4'`)
	p.press("typed\n")
	f.await("began")
	p.press(controlC)
	f.await("log")
	time.Sleep(200 * time.Millisecond)
	f.leave("go")
	screen, code := p.end()
	if log, line := f.read("log"), strings.TrimSpace(f.read("line")); code != 4 || log != "got\n" || line != "typed" {
		t.Errorf("exit code %d, want 4; Ctrl-C arrived as %q, input as %q; screen:\n%s", code, log, line, screen)
	}
}
