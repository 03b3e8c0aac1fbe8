package adaptertest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// InOwnProcess runs the test that calls it in a process of its own, and reports whether this is that process. It is for tests that set
// time.Local, which timers that earlier tests have left may read.
func InOwnProcess(t *testing.T) bool {
	t.Helper()
	const own = "REDTICK_TEST_OWN_PROCESS"
	if os.Getenv(own) != "" {
		return true
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v") //nolint:gosec // itself
	child.Env = append(os.Environ(), own+"=1")
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}
