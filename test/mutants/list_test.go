package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The list must fit the code as it stands.
func TestMutants_fitTheCode(t *testing.T) {
	names := make(map[string]bool)
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("%s: two mutants have this name", m.name)
		}
		names[m.name] = true
		if _, err := m.apply("../.."); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// The documents say how many there are, and how many are explained.
func TestMutants_areCounted(t *testing.T) {
	text, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := 0
	for _, m := range mutants {
		if m.survives != "" {
			explained++
		}
	}
	want := fmt.Sprintf("| mutants | %d changes of the core, one at a time | `make mutants` names those that survive (%d are", len(mutants), explained)
	if !strings.Contains(string(text), want) {
		t.Errorf("docs/guarantees.md does not say %q", want)
	}
}
