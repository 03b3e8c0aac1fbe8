package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock"
)

// docs/options.md lists every option there is, and the defaults that the
// constants have.
func TestOptions(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../redlock/option.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() {
			want = append(want, f.Name.Name)
		}
	}
	_, table, _ := strings.Cut(read(t, "docs/options.md"), "<!-- options -->")
	table, _, _ = strings.Cut(table, "<!-- /options -->")
	defaults := map[string]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			defaults[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[2])
		}
	}
	slices.Sort(want)
	if listed := slices.Sorted(maps.Keys(defaults)); !slices.Equal(listed, want) {
		t.Errorf("the table has  %v\nthe code has   %v", listed, want)
	}
	for option, value := range map[string]string{
		"WithTTL":       short(redlock.DefaultTTL.String()),
		"WithRetention": short(redlock.DefaultRetention.String()) + " (" + short(redlock.DefaultAnyOrderRetention.String()) + " in any order)",
		"WithMaxSkew":   short(redlock.DefaultMaxSkew.String()),
	} {
		if got, _, _ := strings.Cut(defaults[option], " (default"); got != value {
			t.Errorf("%s: the table says %q, the constant %q", option, got, value)
		}
	}
	if redlock.DefaultDrift != 0.01 || defaults["WithDrift"] != "0.01" {
		t.Errorf("WithDrift: the table says %s, the constant %v", defaults["WithDrift"], redlock.DefaultDrift)
	}
}

// short writes a duration as people do.
func short(d string) string {
	for _, zero := range []string{"m0s", "h0m"} {
		if rest, found := strings.CutSuffix(d, zero); found {
			d = rest + zero[:1]
		}
	}
	return d
}
