package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// user is a user with only a Go installation.
type user struct {
	dir   string
	cache string // the module cache
	env   []string
}

// newUser returns a user who shares the module cache, to reuse compiled packages;
// forget removes the tested version from it.
func newUser(dir string) (*user, error) {
	u := &user{dir: dir, env: os.Environ()}
	settings, err := u.output(dir, "go", "env", "GOMODCACHE", "GOPROXY")
	if err != nil {
		return nil, err
	}
	cache, proxies, _ := strings.Cut(strings.TrimSpace(settings), "\n")
	u.cache = cache
	u.env = append(u.env,
		"GOPROXY=file://"+filepath.Join(dir, "proxy")+",file://"+filepath.Join(cache, "cache", "download")+","+proxies,
		"GOBIN="+filepath.Join(dir, "bin"),
		"GOFLAGS=-modcacherw", "GOWORK=off", "GOPRIVATE=", "GONOPROXY=", "GONOSUMDB="+product+","+product+"/*")
	return u, nil
}

func (u *user) forget(modules []mod, version string) {
	for _, m := range modules {
		_ = os.RemoveAll(filepath.Join(u.cache, m.path()+"@"+version))
		files, _ := filepath.Glob(filepath.Join(u.cache, "cache", "download", m.path(), "@v", version+".*"))
		for _, f := range files {
			_ = os.Remove(f)
		}
	}
}

func (u *user) tryAll(root string, modules []mod, version string) error {
	for i, m := range modules {
		if err := u.tryModule(fmt.Sprintf("module%d", i), m, version); err != nil {
			return fmt.Errorf("%s@%s: %w", m.path(), version, err)
		}
	}
	if err := u.tryReadme(root); err != nil {
		return fmt.Errorf("the README's program: %w", err)
	}
	return u.tryCommand(version)
}

// tryModule gets the module and builds all its importable packages.
func (u *user) tryModule(name string, m mod, version string) error {
	app := filepath.Join(u.dir, name)
	if err := u.steps(app, "go mod init example.com/app", "go get "+m.path()+"@"+version); err != nil {
		return err
	}
	list, err := u.output(app, "go", "list", "-e", "-f", "{{if ne .Name \"main\"}}{{.ImportPath}}{{end}}", m.path()+"/...")
	if err != nil {
		return err
	}
	program := "package main\n\nimport (\n"
	for line := range strings.Lines(list) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "/internal/") {
			program += "\t_ \"" + line + "\"\n"
		}
	}
	if err := os.WriteFile(filepath.Join(app, "main.go"), []byte(program+")\n\nfunc main() {}\n"), 0o644); err != nil {
		return err
	}
	return u.steps(app, "go get .", "go build -o app .", "./app")
}

// tryReadme builds the README's program with the versions that a user gets.
func (u *user) tryReadme(root string) error {
	text, err := git(root, "show", "HEAD:README.md")
	if err != nil {
		return err
	}
	_, get, _ := strings.Cut(string(text), "\ngo get ")
	get, _, _ = strings.Cut(get, "\n")
	_, program, found := strings.Cut(string(text), "```go\npackage main\n")
	program, _, _ = strings.Cut(program, "```")
	if !found {
		return fmt.Errorf("there is none")
	}
	app := filepath.Join(u.dir, "readme")
	if err := u.steps(app, "go mod init example.com/app"); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(app, "main.go"), []byte("package main\n"+program), 0o644); err != nil {
		return err
	}
	return u.steps(app, "go get "+get, "go build -o app .", "go mod tidy", "go build -o app .")
}

// tryCommand installs the command, which must run and print its version.
func (u *user) tryCommand(version string) error {
	if err := u.steps(u.dir, "go install "+product+"/cmd/redtick@"+version); err != nil {
		return err
	}
	out, err := u.output(u.dir, filepath.Join(u.dir, "bin", "redtick"), "--version")
	if err != nil {
		return err
	}
	if want := "redtick version " + version; strings.TrimSpace(out) != want {
		return fmt.Errorf("redtick --version says %q, want %q", strings.TrimSpace(out), want)
	}
	// Build the README's demo as "go run PACKAGE@latest" does.
	return u.steps(u.dir, "bin/redtick --help", "go install "+product+"/examples/gocron@"+version)
}

// steps runs commands in dir, which it creates if needed.
func (u *user) steps(dir string, lines ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, line := range lines {
		if _, err := u.output(dir, strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

func (u *user) output(dir string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, u.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}
