//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dashboard-example-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "dashboard")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func TestExample_survives_a_killed_replica(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.await("ticks on three replicas, and a leader", func(l look) bool { return len(l.ran("demo:pulse")) == 3 && l.leader() != "" })
	leader := s.look().leader()
	if err := syscall.Kill(s.replicas[leader], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	s.await("another leader", func(l look) bool { return l.leader() != "" && l.leader() != leader })
	s.await("ticks of the others only", func(l look) bool {
		ran := l.ranSince("demo:pulse", killed)
		return len(ran) == 2 && !ran[leader]
	})
	s.await("a job that fails now and then", func(l look) bool { return l.failed("demo:feed") })
	_ = s.cmd.Process.Signal(os.Interrupt)
	s.end(0)
}

func TestExample_an_interrupt_of_all_stops_all(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.await("ticks", func(l look) bool { return len(l.ran("demo:pulse")) > 0 })
	// As a terminal does for Ctrl-C: to all of them.
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Error(err)
	}
	s.end(0)
}

func TestExample_a_killed_parent_leaves_no_replica(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.await("ticks", func(l look) bool { return len(l.ran("demo:pulse")) > 0 })
	_ = s.cmd.Process.Kill()
	s.end(-1)
}

func TestExample_tells_that_the_port_is_taken(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "-addr", listener.Addr().String()).CombinedOutput()
	if err == nil || ctx.Err() != nil || !bytes.Contains(out, []byte("address already in use")) || bytes.Contains(out, []byte("open http")) {
		t.Errorf("%v: %s", err, out)
	}
}

// show is a run of the example under way.
type show struct {
	*testing.T
	cmd      *exec.Cmd
	stderr   bytes.Buffer
	url      string
	replicas map[string]int // process ids
	client   http.Client
}

var (
	replicaLine = regexp.MustCompile(`^(replica-.) is process (\d+)$`)
	openLine    = regexp.MustCompile(`^3 embedded Redis nodes, three replicas; open (http://127\.0\.0\.1:\d+) `)
)

func start(t *testing.T) *show {
	t.Helper()
	s := &show{T: t, cmd: exec.Command(binary, "-addr", "127.0.0.1:0"), replicas: map[string]int{}, client: http.Client{Timeout: 5 * time.Second}}
	s.cmd.Env = append(os.Environ(), "REDIS_ADDRS=")
	s.cmd.Stderr = &s.stderr
	s.cmd.WaitDelay = 10 * time.Second
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	for lines := bufio.NewScanner(out); s.url == "" && lines.Scan(); {
		if m := replicaLine.FindStringSubmatch(lines.Text()); m != nil {
			s.replicas[m[1]], _ = strconv.Atoi(m[2])
		}
		if m := openLine.FindStringSubmatch(lines.Text()); m != nil {
			s.url = m[1]
		}
	}
	if s.url == "" || len(s.replicas) != 3 {
		t.Fatalf("it says neither where its page is nor its three processes\n%s", &s.stderr)
	}
	return s
}

// end checks the exit status, and that no process is left.
func (s *show) end(status int) {
	s.Helper()
	stuck := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	if !stuck.Stop() {
		s.Error("it did not end within 10 s")
	}
	if got := s.cmd.ProcessState.ExitCode(); got != status {
		s.Errorf("exit status %d, want %d\n%s", got, status, &s.stderr)
	}
	for name, pid := range s.replicas {
		for deadline := time.Now().Add(8 * time.Second); lives(pid); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				s.Errorf("%s, process %d, is left", name, pid)
				break
			}
		}
	}
}

// lives tells a process from one that has ended and is not yet buried.
func lives(pid int) bool {
	if runtime.GOOS == "linux" {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && !bytes.Contains(stat, []byte(") Z ")) && !bytes.Contains(stat, []byte(") X "))
	}
	return syscall.Kill(pid, 0) == nil
}

// look is what /state tells.
type look struct {
	Rows []struct {
		Name, State, Error, Holder string
		Runs                       []run
	}
}

// run is [tick, late, took, result, holder] on the wire.
type run struct {
	at             int64 // Unix milliseconds
	result, holder string
}

func (r *run) UnmarshalJSON(text []byte) error {
	var late, took int64
	return json.Unmarshal(text, &[]any{&r.at, &late, &took, &r.result, &r.holder})
}

func (l look) ran(name string) map[string]bool { return l.ranSince(name, time.Time{}) }

// ranSince is which replicas ran the ticks after an instant.
func (l look) ranSince(name string, after time.Time) map[string]bool {
	ran := map[string]bool{}
	for _, n := range l.Rows {
		for _, r := range n.Runs {
			if n.Name == name && time.UnixMilli(r.at).After(after) {
				ran[r.holder] = true
			}
		}
	}
	return ran
}

// failed reports whether a run of the job has failed.
func (l look) failed(name string) bool {
	for _, n := range l.Rows {
		if n.Name == name && slices.ContainsFunc(n.Runs, func(r run) bool { return r.result == "failed" }) {
			return true
		}
	}
	return false
}

func (l look) leader() string {
	for _, n := range l.Rows {
		if n.Name == "demo:leader" {
			return n.Holder
		}
	}
	return ""
}

func (s *show) look() (l look) {
	s.Helper()
	answer, err := s.client.Get(s.url + "/state")
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&l); err != nil {
		s.Fatal(err)
	}
	return l
}

func (s *show) await(what string, held func(look) bool) {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); !held(s.look()); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			last := s.look()
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait() // stderr is written to until then
			s.Fatalf("no %s within 20 s: %+v\n%s", what, last, &s.stderr)
		}
	}
}
