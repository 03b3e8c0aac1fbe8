package redlock_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock"
)

func readme(t *testing.T) string {
	t.Helper()
	return string(must[[]byte](t)(os.ReadFile("../README.md")))
}

// The README's table lists every option there is, and the defaults that the constants have.
func TestReadme_options(t *testing.T) {
	file := must[*ast.File](t)(parser.ParseFile(token.NewFileSet(), "option.go", nil, 0))
	var want []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() {
			want = append(want, f.Name.Name)
		}
	}
	_, table, _ := strings.Cut(readme(t), "<!-- options -->")
	table, _, _ = strings.Cut(table, "<!-- /options -->")
	defaults := map[string]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			defaults[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[2])
		}
	}
	for _, name := range want {
		if _, listed := defaults[name]; !listed {
			t.Errorf("the README's table lacks %s", name)
		}
		delete(defaults, name)
	}
	for name := range defaults {
		t.Errorf("the README's table has %s, which is no option", name)
	}
	for text, value := range map[string]string{
		"| `WithTTL` | 30s |": redlock.DefaultTTL.String(), "| `WithRetention` | 15m (24h in": redlock.DefaultRetention.String() + redlock.DefaultAnyOrderRetention.String(),
		"| `WithMaxSkew` | 5m |": redlock.DefaultMaxSkew.String(),
	} {
		if !strings.Contains(table, text) || !slices.Contains([]string{"30s", "15m0s24h0m0s", "5m0s"}, value) {
			t.Errorf("the README says %q, the constant is %s", text, value)
		}
	}
	if redlock.DefaultDrift != 0.01 || !strings.Contains(table, "| `WithDrift` | 0.01 |") {
		t.Error("the README and the constant differ on WithDrift")
	}
}

// The README's program builds.
func TestReadme_program(t *testing.T) {
	_, program, _ := strings.Cut(readme(t), "```go\n")
	program, _, _ = strings.Cut(program, "```")
	source := filepath.Join(t.TempDir(), "main.go")
	ok(t, os.WriteFile(source, []byte(program), 0o600))
	place := must[string](t)(filepath.Abs("../examples/readme/main.go"))
	overlay := must[[]byte](t)(json.Marshal(map[string]any{"Replace": map[string]string{place: source}}))
	list := filepath.Join(t.TempDir(), "overlay.json")
	ok(t, os.WriteFile(list, overlay, 0o600))
	cmd := exec.Command("go", "build", "-o", os.DevNull, "-overlay", list, "./examples/readme")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
