package migration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fence = regexp.MustCompile("(?s)```.*?```")
	span  = regexp.MustCompile("`[^`]+`")
	space = regexp.MustCompile(`\s+`)
)

// Every line of code in docs/migration.md is part of a test here. Seen to fail when an
// option is misspelled there.
func TestDoc_isRun(t *testing.T) {
	code := sources(t)
	text, err := os.ReadFile("../../docs/migration.md")
	ok(t, err)
	checked := 0
	for _, quoted := range span.FindAllString(fence.ReplaceAllString(string(text), ""), -1) {
		line := strings.Trim(quoted, "`")
		if !strings.ContainsAny(line, "(=") {
			continue
		}
		checked++
		if !found(code, line) {
			t.Errorf("docs/migration.md has %q, which no test here runs", line)
		}
	}
	if checked < 60 {
		t.Errorf("only %d lines of code were found", checked)
	}
}

// found reports whether the code contains the line, in which "…" matches anything.
func found(code, line string) bool {
	for part := range strings.SplitSeq(space.ReplaceAllString(line, " "), "…") {
		_, rest, ok := strings.Cut(code, strings.TrimSpace(part))
		if !ok {
			return false
		}
		code = rest
	}
	return true
}

func sources(t *testing.T) (code string) {
	files, err := filepath.Glob("*_test.go")
	ok(t, err)
	for _, name := range files {
		if name == "doc_test.go" {
			continue
		}
		text, err := os.ReadFile(name)
		ok(t, err)
		code += space.ReplaceAllString(string(text), " ")
	}
	return code
}
