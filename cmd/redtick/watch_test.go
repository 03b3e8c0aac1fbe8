//go:build unix

package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

type changeJSON struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
	Name  *nameJSON `json:"name"`
}

// Seen to fail when changes remembers nothing (a line for every look), and when
// names that are gone are not told.
func TestWatch_lines(t *testing.T) {
	f := newFleet(t)
	text, lines := f.start("watch", "-interval", "100ms"), f.start("watch", "-interval", "100ms", "-o", "json")
	time.Sleep(300 * time.Millisecond)
	holder := f.hold("report")
	time.Sleep(300 * time.Millisecond)
	_ = holder.Process.Signal(syscall.SIGTERM)
	if o := holder.end(); o.code != 143 {
		t.Errorf("the holder: %+v", o)
	}
	time.Sleep(300 * time.Millisecond)
	_, _ = text.Process.Signal(syscall.SIGINT), lines.Process.Signal(syscall.SIGINT)
	o := text.end()
	if got := strings.Split(o.stdout, "\n"); o.code != 0 || len(got) != 3 ||
		!strings.Contains(got[0], "report is held by ") || !strings.HasSuffix(got[1], "report is free") {
		t.Errorf("text: %+v", o)
	}
	o = lines.end()
	var held []bool
	for d := json.NewDecoder(strings.NewReader(o.stdout)); d.More(); {
		var c changeJSON
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("%v in %s", err, o.stdout)
		}
		held = append(held, c.Name.Held)
	}
	if o.code != 0 || len(held) != 2 || !held[0] || held[1] {
		t.Errorf("JSON: %+v", o)
	}
}

// Seen to fail when a terminal gets lines too.
func TestWatch_terminal(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("there is no script(1) to make a terminal with")
	}
	f := newFleet(t)
	f.hold("report")
	file := filepath.Join(f.dir, "typescript")
	cmd := exec.Command("script", "-qec", "timeout -s INT 1 "+binary+" watch; true", file)
	cmd.Env = append(os.Environ(), "REDIS_ADDRS="+f.addrs)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	has(t, f.read("typescript"), "\x1b[H", "\x1b[J", "HOLDER", "report")
}
