package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Seen to fail when work.go does not unlock (the key is left).
func TestExample_locks_works_and_unlocks(t *testing.T) {
	server := redisserver.Start(t)
	binary := filepath.Join(t.TempDir(), "mutex")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct{ name, addrs, first string }{
		{"embedded", "", "3 embedded Redis nodes"},
		{"real", server.Addr(), "Redis at " + server.Addr()},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary)
			cmd.Env = append(os.Environ(), "REDIS_ADDRS="+c.addrs)
			out, err := cmd.CombinedOutput()
			lines := strings.Split(string(out), "\n")
			if err != nil || len(lines) != 5 || lines[0] != c.first || !strings.HasPrefix(lines[1], "locked, as ") ||
				!strings.Contains(lines[2], "taken by another owner") || lines[3] != "unlocked" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if left, err := server.Do("EXISTS", "redtick-demo:mutex"); err != nil || fmt.Sprint(left) != "0" {
		t.Errorf("the lock is left: %v %v", left, err)
	}
}
