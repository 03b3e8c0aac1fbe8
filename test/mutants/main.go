// Command mutants breaks the core in one place at a time and runs its tests: each mutant must be caught by one of them.
// A survivor is a gap in the tests, or is explained in the list. Run it with `make mutants`.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	root, err := filepath.Abs("../..")
	if err == nil {
		err = run(root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	only := strings.Join(os.Args[1:], " ")
	killed, survived, broken := 0, 0, 0
	for _, m := range mutants {
		if !strings.Contains(m.name, only) {
			continue
		}
		by, took, err := m.try(root)
		switch {
		case err != nil: // go on: the whole list takes most of an hour
			broken++
			fmt.Printf("BROKEN   %-58s %5.1fs  %v\n", m.name, took.Seconds(), err)
		case by != "":
			killed++
			fmt.Printf("killed   %-58s %5.1fs  %s\n", m.name, took.Seconds(), by)
		case m.survives != "":
			fmt.Printf("explained %-57s %5.1fs  %s\n", m.name, took.Seconds(), m.survives)
		default:
			survived++
			fmt.Printf("SURVIVED %-58s %5.1fs\n", m.name, took.Seconds())
		}
	}
	fmt.Printf("%d killed, %d survived, %d cannot be tried\n", killed, survived, broken)
	if survived+broken > 0 {
		return errors.New("the tests have a gap for each mutant that survived, and the list is out of date for each that cannot be tried")
	}
	return nil
}

func (m mutant) path(root string) string { return filepath.Join(root, "redlock", m.file) }

// apply returns the broken file.
func (m mutant) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(m.path(root))
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return nil, fmt.Errorf("%q stands %d times in %s, want once: bring the list up to date", m.old, n, m.file)
	}
	return []byte(strings.Replace(string(text), m.old, m.new, 1)), nil
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// try runs the core's tests with the file replaced; the checkout stays as it is.
func (m mutant) try(root string) (killedBy string, took time.Duration, err error) {
	text, err := m.apply(root)
	if err != nil {
		return "", 0, err
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", 0, err
	}
	defer os.RemoveAll(dir)
	broken := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(broken, text, 0o600); err != nil {
		return "", 0, err
	}
	overlay, _ := json.Marshal(map[string]any{"Replace": map[string]string{m.path(root): broken}})
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", 0, err
	}
	begin := time.Now()
	cmd := exec.Command("go", "test", "-count=1", "-timeout=90s", "-failfast", "-skip=Example|Readme|ACL|Inspector|Observer|HungMinority|Simulation|Fuzz", "-overlay", list, "./redlock")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	took = time.Since(begin)
	switch found := failure.FindAllStringSubmatch(string(out), -1); {
	case err == nil:
		return "", took, nil
	case len(found) > 0:
		return found[len(found)-1][1], took, nil
	case strings.Contains(string(out), "panic:"):
		return "a panic, a deadlock or a time-out", took, nil
	}
	return "", took, fmt.Errorf("does not build:\n%s", out)
}
