//go:build unix

package main_test

import (
	"strings"
	"testing"
)

// Seen to fail when frames go into a file.
func TestWatch_noTerminal(t *testing.T) {
	t.Parallel()
	if o := redtick(t, "127.0.0.1:1", "watch"); o.code != 64 || o.stdout != "" || !strings.Contains(o.stderr, "stdout is no terminal") {
		t.Errorf("%+v", o)
	}
}
