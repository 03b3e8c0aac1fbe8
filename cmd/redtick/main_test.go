//go:build unix

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	// Without this import go test would call its result cached after a change of the command.
	_ "github.com/redtick/redtick/cmd/redtick"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "redtick")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "redtick")
	if out, err := exec.Command("go", append([]string{"build", "-o", binary}, buildArgs()...)...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	// Otherwise the race detector makes every process sleep for a second at its end.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// buildArgs returns arguments of go build, with -race if the test has the race detector.
func buildArgs() []string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return []string{"-race", "."}
		}
	}
	return []string{"."}
}

// fleet holds three servers, and a directory for files of programs.
type fleet struct {
	t       *testing.T
	dir     string
	servers []*redisserver.Server
	addrs   string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), servers: redisserver.StartN(t, 3)}
	f.addrs = addrs(f.servers...)
	return f
}

func addrs(servers ...*redisserver.Server) string {
	var all []string
	for _, s := range servers {
		all = append(all, s.Addr())
	}
	return strings.Join(all, ",")
}

// outcome is the result of a command.
type outcome struct {
	stdout, stderr string
	code           int
}

func (o outcome) all() string { return o.stdout + o.stderr }

// process is a running redtick.
type process struct {
	*exec.Cmd
	t        *testing.T
	out, err written
}

// written is a buffer that may be read while a process writes to it.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *written) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, text, func() bool { return strings.Contains(w.String(), text) })
}

func start(t *testing.T, addrs, dir string, args ...string) *process {
	t.Helper()
	p := prepare(t, addrs, dir, args...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func prepare(t *testing.T, addrs, dir string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, binary, args...), t: t}
	p.Env = append(os.Environ(), "REDIS_ADDRS="+addrs)
	p.Dir, p.Stdout, p.Stderr = dir, &p.out, &p.err
	p.WaitDelay = 5 * time.Second
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("redtick %s said:\n%s", strings.Join(args, " "), p.err.String())
		}
	})
	return p
}

func (p *process) end() outcome {
	p.t.Helper()
	err := p.Wait()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		p.t.Fatalf("%v: %v", p.Args, err)
	}
	return outcome{p.out.String(), p.err.String(), p.ProcessState.ExitCode()}
}

func redtick(t *testing.T, addrs string, args ...string) outcome {
	t.Helper()
	return start(t, addrs, "", args...).end()
}

func (f *fleet) start(args ...string) *process {
	f.t.Helper()
	return start(f.t, f.addrs, f.dir, args...)
}

func (f *fleet) prepare(args ...string) *process {
	f.t.Helper()
	return prepare(f.t, f.addrs, f.dir, args...)
}

func (f *fleet) redtick(args ...string) outcome {
	f.t.Helper()
	return f.start(args...).end()
}

// hold makes a program hold name until the test ends.
func (f *fleet) hold(name string, args ...string) *process {
	f.t.Helper()
	p := f.start(append(append([]string{"run", "-name", name}, args...), "--", "sh", "-c", "touch holding; exec sleep 60")...)
	f.await("holding")
	return p
}

// await waits until a program has created a file.
func (f *fleet) await(file string) {
	f.t.Helper()
	eventually(f.t, file+" to appear", func() bool {
		_, err := os.Stat(filepath.Join(f.dir, file))
		return err == nil
	})
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}

func (f *fleet) read(file string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, file))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// leave creates a file that a program waits for or reads.
func (f *fleet) leave(file string, lines ...string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, file), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// decode rejects unknown fields, because the names of fields are an interface.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func has(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

// Seen to fail when -version is read as -v with the rest as its value.
func TestVersion(t *testing.T) {
	for _, flag := range []string{"-version", "--version"} {
		if o := redtick(t, "", flag); o.code != 0 || !strings.HasPrefix(o.stdout, "redtick version ") {
			t.Errorf("%s: %+v", flag, o)
		}
	}
}
