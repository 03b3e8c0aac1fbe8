//go:build unix

package main

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redtick/redtick/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// shown is what each command must print in the end.
var shown = map[string]string{
	"redtick ls":              `(?s)feed .*report `,
	"redtick runs feed":       `failed: dial tcp 10\.0\.4\.17:5432`,
	"redtick pause report":    `"report" is paused by .* until .*: migration`,
	"redtick runs report":     `paused by .*: migration`,
	"redtick resume report":   `"report" is not paused`,
	"redtick pause digest":    `"digest" is paused by .* until `,
	"redtick runs digest":     `^\S+ .* replica-. +([1-9]|1\d)(\.\d)?s +\S+ +ok$`, // a run that is late by seconds
	"redtick trigger cleanup": `replica-`,
	"redtick show cleanup":    `last run +(ok|running) on replica-`,
	"redtick status":          `3 of 3 nodes answer`,
}

// The commands that the example prints are run as a user would, in a shell.
func TestFleet_commands(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "redtick"), "../../cmd/redtick").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fleet := program.Command("", "-addr", "127.0.0.1:0")
	var stderr bytes.Buffer
	fleet.Stderr = &stderr
	out, err := fleet.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = fleet.Process.Signal(syscall.SIGINT)
		if err := fleet.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("%v\n%s", err, &stderr)
		}
	}()
	var url, addrs string
	var lines []string
	for text := bufio.NewScanner(out); len(lines) < strings.Count(commands, "  redtick ") && text.Scan(); {
		if m := regexp.MustCompile(`a page at (http://\S+)`).FindStringSubmatch(text.Text()); m != nil {
			url = m[1]
		}
		if _, list, ok := strings.Cut(text.Text(), "export REDIS_ADDRS="); ok {
			addrs = list
		}
		if strings.HasPrefix(text.Text(), "  redtick ") {
			lines = append(lines, strings.TrimSpace(regexp.MustCompile(`\s{3,}`).Split(strings.TrimSpace(text.Text()), 2)[0]))
		}
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "redtick pause digest") {
			try(t, dir, addrs, "redtick runs digest", ` ok$`) // nothing is caught up before the first run
			for now := time.Now(); now.Second()%20 < 1 || now.Second()%20 > 3; now = time.Now() {
				time.Sleep(100 * time.Millisecond) // so that the pause ends seconds after a tick
			}
		}
		words := strings.Fields(line)
		try(t, dir, addrs, line, shown[strings.Join(words[:min(3, len(words))], " ")])
	}
	answer, err := http.Get(url)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("the page: %v, %v", answer, err)
	}
	_ = answer.Body.Close()
}

// try runs a line until it prints what it should: a job may not have run yet.
func try(t *testing.T, dir, addrs, line, pattern string) {
	t.Helper()
	if pattern == "" {
		t.Errorf("%s: the test does not know what it prints", line)
		return
	}
	want := regexp.MustCompile("(?m)" + pattern)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		cmd := exec.Command("sh", "-c", line)
		cmd.Env = append(os.Environ(), "REDIS_ADDRS="+addrs, "PATH="+dir+":"+os.Getenv("PATH"))
		cmd.SysProcAttr = program.EndWithParent()
		text, _ := cmd.CombinedOutput() // the exit code may be that of a job that failed
		if want.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s\n%s\nwant %s", line, text, want)
			return
		}
	}
}
