package redlock_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// A reader who follows one claim and its unlock meets this many functions in this many files, besides those of New and NewJob. Many
// have one line. It varies by one or two, as goroutines meet.
const (
	pathFunctions = 84
	pathFiles     = 20
)

// The path of a claim does not get longer.
func TestCost_claimPath(t *testing.T) {
	if raceDetector {
		t.Skip("the run without the race detector counts")
	}
	setup := functionsOf(t, "TestPath_setup")
	var path, files []string
	for _, f := range functionsOf(t, "TestPath_claim") {
		if !slices.Contains(setup, f) {
			path = append(path, f)
			file, _, _ := strings.Cut(f, ".go:")
			files = append(files, file)
		}
	}
	files = slices.Compact(files)
	if len(path) > pathFunctions || len(files) > pathFiles {
		t.Errorf("%d functions in %d files, want at most %d in %d:\n%s", len(path), len(files), pathFunctions, pathFiles, strings.Join(path, "\n"))
	}
}

// functionsOf returns the functions that a test enters, as "file:line: name", in order.
func functionsOf(t *testing.T, test string) (entered []string) {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	const core = "github.com/redtick/redtick/redlock"
	packages := core + "," + core + "/internal/feed," + core + "/internal/pipeline," + core + "/internal/protocol," + core + "/internal/quorum," + core + "/internal/trigger," + core + "/internal/waitqueue"
	goTool(t, "test", "-count=1", "-run=^"+test+"$", "-coverpkg="+packages, "-coverprofile="+profile, ".")
	for line := range strings.Lines(goTool(t, "tool", "cover", "-func="+profile)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[2] != "0.0%" && fields[0] != "total:" {
			entered = append(entered, fields[0]+" "+fields[1])
		}
	}
	return entered
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command("go", args...)
	command.Env = append(os.Environ(), "GOFLAGS=")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// What TestCost_claimPath counts, and what it subtracts.
func TestPath_claim(t *testing.T) { claimAndUnlock(t, 1) }
func TestPath_setup(t *testing.T) { claimAndUnlock(t, 0) }

func claimAndUnlock(t *testing.T, n int) {
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		j := must[*redlock.Job](t)(fl.process("a").NewJob("job"))
		for range n {
			ok(t, must[*redlock.Lease](t)(j.Claim(t.Context(), time.Now())).Unlock(t.Context()))
		}
	})
}
