package docs_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	shBlock    = regexp.MustCompile("(?s)```sh\n(.*?)```")
	span       = regexp.MustCompile("`([^`\n]+)`")
	list       = regexp.MustCompile(`command: \[(.*)\]`)
	substitute = regexp.MustCompile(`"?\$\([^)]*\)"?`)
	comment    = regexp.MustCompile(`\s+#.*`)
)

// commands are what all pages tell people to type.
func commands(t *testing.T) (found []string) {
	for _, text := range pages(t) {
		for _, b := range shBlock.FindAllStringSubmatch(text, -1) {
			found = append(found, strings.Split(strings.TrimSpace(b[1]), "\n")...)
		}
		for _, s := range span.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
			if first, _, _ := strings.Cut(s[1], " "); slices.Contains([]string{"redtick", "make", "go"}, first) && !strings.ContainsAny(s[1], "…") && !strings.Contains(s[1], " COMMAND") {
				found = append(found, s[1])
			}
		}
		for _, l := range list.FindAllStringSubmatch(text, -1) {
			found = append(found, strings.NewReplacer(`"`, "", ",", "").Replace(l[1]))
		}
	}
	return found
}

// Every command on every page is one that there is, with the flags that it has.
func TestCommands(t *testing.T) {
	redtick := filepath.Join(t.TempDir(), "redtick")
	if out, err := exec.Command("go", "build", "-o", redtick, "../../cmd/redtick").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := commands(t)
	if len(all) < 30 {
		t.Errorf("only %d commands were found", len(all))
	}
	for _, line := range all {
		line = comment.ReplaceAllString(substitute.ReplaceAllString(line, "X"), "")
		words := strings.Fields(line)
		if i := slices.Index(words, "&&"); i >= 0 {
			words = words[i+1:]
		}
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "redtick":
			runsRedtick(t, redtick, line, words[1:])
		case "make":
			isTarget(t, line, words[1:])
		case "go":
			hasPackages(t, line, words[1:])
		}
	}
}

// runsRedtick has the command read its flags, and print its help.
func runsRedtick(t *testing.T, redtick, line string, args []string) {
	if i := slices.IndexFunc(args, func(s string) bool { return s == "--" || s == "|" || s == ">" }); i >= 0 {
		args = args[:i]
	}
	flag := "" // named without its value
	if n := len(args); n > 0 && strings.HasPrefix(args[n-1], "--") {
		args, flag = args[:n-1], args[n-1]
	}
	if out, err := exec.Command(redtick, append(args, "--help")...).CombinedOutput(); err != nil || !strings.Contains(string(out), flag) {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
}

func isTarget(t *testing.T, line string, words []string) {
	for _, target := range words {
		if !strings.Contains(target, "=") && !strings.Contains(read(t, "Makefile"), "\n"+target+":") {
			t.Errorf("%s: the Makefile has no such target", line)
		}
	}
}

// hasPackages looks for the packages of this repository that go is to build.
func hasPackages(t *testing.T, line string, words []string) {
	for _, word := range words {
		name, _, _ := strings.Cut(word, "@")
		name, ours := strings.CutPrefix(name, "github.com/redtick/redtick/")
		if rest, local := strings.CutPrefix(name, "./"); local && !strings.HasPrefix(rest, ".") {
			name, ours = rest, true
		}
		if ours {
			if files, _ := filepath.Glob(filepath.Join(root, name, "*.go")); len(files) == 0 {
				t.Errorf("%s: there is no package %s", line, name)
			}
		}
	}
}
