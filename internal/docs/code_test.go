package docs_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goBlock   = regexp.MustCompile("(?s)```go\n(.*?)```")
	diffBlock = regexp.MustCompile("(?s)```diff\n(.*?)```")
	space     = regexp.MustCompile(`\s+`)
	testName  = regexp.MustCompile("`((?:Test|Example|Fuzz)\\w*\\*?)`")
	eventName = regexp.MustCompile("(?m)^\\| `([a-z_]+)`")
)

// programs are the complete ones on all pages, and both sides of each diff.
func programs(t *testing.T) (found []string) {
	for _, text := range pages(t) {
		for _, b := range goBlock.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(b[1], "package main") {
				found = append(found, b[1])
			}
		}
		for _, b := range diffBlock.FindAllStringSubmatch(text, -1) {
			found = append(found, side(b[1], '-'), side(b[1], '+'))
		}
	}
	return found
}

func side(diff string, mark byte) (program string) {
	for line := range strings.Lines(diff) {
		if line[0] == ' ' || line[0] == mark {
			program += line[1:]
		}
	}
	return program
}

// Every program on every page compiles. None is linked, which would take a minute.
func TestPrograms(t *testing.T) {
	all := programs(t)
	if len(all) < 9 {
		t.Errorf("only %d programs were found", len(all))
	}
	dir, replaced := t.TempDir(), map[string]string{}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "-overlay", filepath.Join(dir, "overlay.json")}
	for i, program := range all {
		file := filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(file, []byte(strings.Replace(program, "package main", "package program", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[filepath.Join(here, fmt.Sprintf("program%d", i), "main.go")] = file
		args = append(args, fmt.Sprintf("./program%d", i))
	}
	overlay, _ := json.Marshal(map[string]any{"Replace": replaced})
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every other piece of Go on every page stands in a Go file of the repository,
// where it is compiled and, in most cases, run.
func TestSnippets(t *testing.T) {
	code := code(t)
	checked := 0
	for name, text := range pages(t) {
		for _, b := range goBlock.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(b[1], "package ") || strings.HasPrefix(b[1], "import ") {
				continue
			}
			checked++
			if snippet := strings.TrimSpace(space.ReplaceAllString(b[1], " ")); !strings.Contains(code, snippet) {
				t.Errorf("%s: no Go file has\n%s", name, b[1])
			}
		}
	}
	if checked < 6 {
		t.Errorf("only %d snippets were found", checked)
	}
}

// Every test and every event that a page names is there.
func TestNames(t *testing.T) {
	code := code(t)
	checked := 0
	for name, text := range pages(t) {
		for _, n := range testName.FindAllStringSubmatch(text, -1) {
			checked++
			if !strings.Contains(code, "func "+strings.TrimSuffix(n[1]+"(", "*(")) {
				t.Errorf("%s: there is no %s", name, n[1])
			}
		}
	}
	_, events, _ := strings.Cut(read(t, "docs/operations.md"), "| event |")
	events, _, _ = strings.Cut(events, "\n\n")
	for _, n := range eventName.FindAllStringSubmatch(events, -1) {
		checked++
		if !strings.Contains(code, `EventKind = "`+n[1]+`"`) {
			t.Errorf("docs/operations.md: there is no event %s", n[1])
		}
	}
	if checked < 60 {
		t.Errorf("only %d names were found", checked)
	}
}

// code is all Go of the repository, with single spaces.
func code(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".go" {
			text, _ := os.ReadFile(name)
			all.WriteString(space.ReplaceAllString(string(text), " ") + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
