// Package program lets a test run the program that it tests: the test's own
// binary is that as well.
package program

import (
	"os"
	"os/exec"
	"testing"
)

// asProgram tells the test's binary, and the replicas it starts, to be the program.
const asProgram = "REDTICK_TEST_AS_PROGRAM"

// Main is for TestMain.
func Main(m *testing.M, main func()) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Command runs the program on the Redis at addrs, or on an embedded one.
func Command(addrs string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "REDIS_ADDRS="+addrs, asProgram+"=1")
	cmd.SysProcAttr = EndWithParent()
	return cmd
}
