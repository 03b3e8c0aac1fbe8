// Package program lets a test run the program that it tests, by starting its own
// binary again.
package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// asProgram is the environment variable that makes the test's binary, and the replicas
// it starts, run the program.
const asProgram = "REDTICK_TEST_AS_PROGRAM"

// Main is called by TestMain. It runs the tests or, in a process started by [Command],
// the program.
func Main(m *testing.M, main func()) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Command returns a command that runs the program on the Redis nodes at addrs, or on
// embedded ones if addrs is empty.
func Command(addrs string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "REDIS_ADDRS="+addrs, asProgram+"=1")
	cmd.SysProcAttr = EndWithParent()
	return cmd
}

// Play runs the program to its end. It checks the exit status, that each wanted pattern
// matches a line, and that the last one matches the last line.
func Play(t *testing.T, addrs string, status int, wanted []string, args ...string) {
	t.Helper()
	cmd := Command(addrs, args...)
	out, err := cmd.CombinedOutput()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, want %d", got, status)
	}
	for _, want := range wanted {
		if !regexp.MustCompile("(?m)" + want).Match(out) {
			t.Errorf("no line matches %q", want)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; !regexp.MustCompile(wanted[len(wanted)-1]).MatchString(last) {
		t.Errorf("the last line is %q", last)
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// Addrs returns the servers' addresses as a value of REDIS_ADDRS.
func Addrs(servers []*redisserver.Server) string {
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr())
	}
	return strings.Join(addrs, ",")
}

// LeavesNothing fails the test if a server has a key.
func LeavesNothing(t *testing.T, servers []*redisserver.Server) {
	t.Helper()
	for _, s := range servers {
		if left, err := s.Do("KEYS", "*"); err != nil || fmt.Sprint(left) != "[]" {
			t.Errorf("keys left on %s: %v %v", s.Addr(), left, err)
		}
	}
}
