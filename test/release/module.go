package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const product = "github.com/redtick/redtick"

// publishedPaths lists the modules that users may require. All other modules of the
// repository replace the product, so they cannot be required.
var publishedPaths = []string{product, product + "/redlock/otelredlock"}

// mod is one module of the repository.
type mod struct {
	root   string // the repository
	subdir string
	file   *modfile.File
}

func (m mod) path() string { return m.file.Module.Mod.Path }

// published reads the go.mod files of HEAD.
func published(root string) (found []mod, err error) {
	list, err := git(root, "ls-tree", "-r", "--name-only", "HEAD")
	if err != nil {
		return nil, err
	}
	for name := range strings.Lines(string(list)) {
		name = strings.TrimSpace(name)
		if path.Base(name) != "go.mod" {
			continue
		}
		m, err := read(root, name)
		if err != nil {
			return nil, err
		}
		isPublished, err := m.check()
		if err != nil {
			return nil, err
		}
		if isPublished {
			found = append(found, m)
		}
	}
	if len(found) != len(publishedPaths) {
		return nil, fmt.Errorf("HEAD has %d of the modules %s", len(found), strings.Join(publishedPaths, ", "))
	}
	return found, nil
}

func read(root, name string) (mod, error) {
	text, err := git(root, "show", "HEAD:"+name)
	if err != nil {
		return mod{}, err
	}
	file, err := modfile.Parse(name, text, nil)
	if err != nil {
		return mod{}, err
	}
	if subdir := strings.TrimPrefix(strings.TrimPrefix(file.Module.Mod.Path, product), "/"); subdir != strings.Trim(path.Dir(name), ".") {
		return mod{}, fmt.Errorf("%s is of the module %s, which nobody would find there", name, file.Module.Mod.Path)
	}
	return mod{root, strings.Trim(path.Dir(name), "."), file}, nil
}

// check reports whether the module is published. The error says why users could not
// require it.
func (m mod) check() (isPublished bool, err error) {
	for _, p := range publishedPaths {
		isPublished = isPublished || p == m.path()
	}
	switch {
	case isPublished && len(m.file.Replace) > 0:
		return false, fmt.Errorf("%s replaces modules: \"go install\" refuses that; use its go.work", m.path())
	case isPublished:
		_, err := git(m.root, "cat-file", "-e", "HEAD:"+path.Join(m.subdir, "LICENSE"))
		if err != nil {
			return false, fmt.Errorf("%s has no LICENSE file", m.path())
		}
	case m.requires() != "" && len(m.file.Replace) == 0:
		return false, fmt.Errorf("%s requires %s without replacing it, but is not among the published modules", m.path(), product)
	}
	return isPublished, nil
}

// requires returns the version of the product that the module requires.
func (m mod) requires() string {
	for _, r := range m.file.Require {
		if r.Mod.Path == product {
			return r.Mod.Version
		}
	}
	return ""
}

// agree returns the version under which all modules can be published.
func agree(modules []mod, version string) (string, error) {
	for _, m := range modules {
		required := m.requires()
		switch {
		case required == "":
		case version == "":
			version = required
		case version != required:
			return "", fmt.Errorf("%s requires %s %s, want %s: change its go.mod", m.path(), product, required, version)
		}
	}
	if module.IsPseudoVersion(version) || module.Check(product, version) != nil {
		return "", fmt.Errorf("%q is no version to release", version)
	}
	return version, nil
}

// publish writes the module in the layout of a proxy. The version must never be
// released, because it gets into the module cache.
func (m mod) publish(proxy, version string) error {
	if m.requires() != "" {
		if err := m.file.AddRequire(product, version); err != nil {
			return err
		}
	}
	text, err := m.file.Format()
	if err != nil {
		return err
	}
	escaped, err := module.EscapePath(m.path())
	if err != nil {
		return err
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := filepath.Join(dir, "files")
	if err := m.checkOut(files); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(files, "go.mod"), text, 0o644); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC()})
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return err
	}
	return errors.Join(
		zip.CreateFromDir(f, module.Version{Path: m.path(), Version: version}, files),
		f.Close(),
		os.WriteFile(filepath.Join(dir, version+".mod"), text, 0o644),
		os.WriteFile(filepath.Join(dir, version+".info"), info, 0o644),
		os.WriteFile(filepath.Join(dir, "list"), []byte(version+"\n"), 0o644),
	)
}

// checkOut writes the module's committed files to dir. zip.CreateFromVCS does not
// support worktrees.
func (m mod) checkOut(dir string) error {
	archive := dir + ".tar"
	if _, err := git(m.root, "archive", "-o", archive, "HEAD:"+m.subdir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out, err := exec.Command("tar", "-xf", archive, "-C", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	return nil
}

func git(root string, args ...string) ([]byte, error) {
	out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("git %s: %s", strings.Join(args, " "), exit.Stderr)
	}
	return out, err
}
