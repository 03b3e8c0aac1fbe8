// Command release tests what a tag on HEAD would publish, as a new user would: it puts
// every module into a file-based module proxy, and gets, builds and installs from there
// in an empty directory. It fails if anything does not resolve.
//
//	make release-check
//	make release-check VERSION=v0.2.0    # and all modules must be ready for that version
//
// Like a tag, it leaves out uncommitted changes. Other modules come from the local
// module cache or the network.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	version := flag.String("version", "", "the version to be released (default: what the nested modules require)")
	flag.Parse()
	start := time.Now()
	tried, err := run(*version)
	if err != nil {
		fmt.Fprintln(os.Stderr, "release-check:", err)
		os.Exit(1)
	}
	fmt.Printf("release-check: %s resolve and build from an empty directory, in %.0fs\n", tried, time.Since(start).Seconds())
}

func run(version string) (tried string, err error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	modules, err := published(root)
	if err != nil {
		return "", err
	}
	if version, err = agree(modules, version); err != nil {
		return "", err
	}
	if log, err := git(root, "show", "HEAD:CHANGELOG.md"); err != nil || !strings.Contains(string(log), "\n## ["+strings.TrimPrefix(version, "v")+"]") {
		return "", fmt.Errorf("CHANGELOG.md has no heading for %s (%v)", version, err)
	}
	commit, err := git(root, "rev-parse", "--short", "HEAD")
	if err != nil {
		return "", err
	}
	trial := version + "-check.g" + strings.TrimSpace(string(commit))
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for _, m := range modules {
		if err := m.publish(filepath.Join(dir, "proxy"), trial); err != nil {
			return "", err
		}
	}
	u, err := newUser(dir)
	if err != nil {
		return "", err
	}
	defer u.forget(modules, trial)
	if err := u.tryAll(root, modules, trial); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d modules, the README's program and the command, tried as %s,", len(modules), trial), nil
}
