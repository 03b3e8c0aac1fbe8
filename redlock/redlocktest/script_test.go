package redlocktest_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// scriptText is a script as the core sends it.
func scriptText(name string) string {
	text := readScript(name)
	for _, prefix := range slices.Sorted(maps.Keys(prefixes)) {
		if prefix != name && strings.Contains(text, prefixes[prefix]) {
			text = readScript(prefix) + text
		}
	}
	return text
}

// prefixes lists the files that precede others, and how those call them.
var prefixes = map[string]string{"guard": "age(", "mark": "mark(", "fence": "raise(", "wake": "wake(", "note": "note("}

func readScript(name string) string {
	if text, known := scriptTexts[name]; known {
		return text
	}
	text, err := os.ReadFile(filepath.Join("..", "internal", "protocol", "lua", name+".lua"))
	if err != nil {
		panic(err)
	}
	scriptTexts[name] = string(text)
	return scriptTexts[name]
}

var scriptTexts = make(map[string]string)
