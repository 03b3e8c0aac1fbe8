//go:build unix

package main_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Mutations that were made and seen to fail here: a mounted file under another
// name, rule_files or the provider's path elsewhere, the data source on another
// port, a target that no service is, a selector that matches nothing, an even
// number of nodes in one REDIS_ADDRS, appendfsync everysec in redis.yaml.

// composeFile is what the tests read of compose.yaml.
type composeFile struct {
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Hostname    string
	Build       *struct{ Context, Dockerfile string }
	Command     []string
	Environment map[string]string
	Volumes     []string
	Ports       []string
	Healthcheck struct{ Test []string }
}

// documents reads a file of one or more.
func documents[T any](t *testing.T, file string) (all []T) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for in := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var one T
		if err := in.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, one)
	}
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	return documents[composeFile](t, "compose.yaml")[0]
}

// named are the services "redis-1" to "redis-3", or those of another kind.
func (c composeFile) named(t *testing.T, kind string) (names []string) {
	t.Helper()
	for name := range c.Services {
		if strings.HasPrefix(name, kind+"-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) != 3 {
		t.Fatalf("%d services are called %s-N, want 3", len(names), kind)
	}
	return names
}

// mounts are the files of this checkout that a service finds, by where it finds them.
func (c composeFile) mounts(t *testing.T, name string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, volume := range c.Services[name].Volumes {
		from, rest, _ := strings.Cut(volume, ":")
		to, _, _ := strings.Cut(rest, ":")
		if !strings.HasPrefix(from, ".") {
			if _, ok := c.Volumes[from]; !ok {
				t.Errorf("%s: there is no volume %q", name, from)
			}
			continue
		}
		if info, err := os.Stat(from); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %s is no file: %v", name, from, err)
		}
		files[to] = from
	}
	return files
}

func TestCompose_mounts(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		c.mounts(t, name)
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: without a login, port %s listens elsewhere than on this machine", name, port)
			}
		}
		if s.Build == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCompose_prometheus(t *testing.T) {
	c := readCompose(t)
	mounts := c.mounts(t, "prometheus")
	_, file, _ := strings.Cut(c.Services["prometheus"].Command[0], "--config.file=")
	if mounts[file] == "" {
		t.Fatalf("no file is mounted at %q", file)
	}
	type config struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	p := documents[config](t, mounts[file])[0]
	if len(p.RuleFiles) != 1 || path.Base(mounts[p.RuleFiles[0]]) != "prometheus.rules.yaml" {
		t.Errorf("the rules are %q, mounted is %v", p.RuleFiles, mounts)
	}
	var want []string
	for _, name := range c.named(t, "replica") {
		want = append(want, name+listen(t, c.Services[name].Command))
	}
	if got := p.ScrapeConfigs[0].StaticConfigs[0].Targets; !slices.Equal(got, want) {
		t.Errorf("scraped is %v, want %v", got, want)
	}
}

func TestCompose_grafana(t *testing.T) {
	c := readCompose(t)
	mounts := c.mounts(t, "grafana")
	sources := documents[struct{ Datasources []struct{ Type, URL string } }](t, mounts["/etc/grafana/provisioning/datasources/redtick.yaml"])
	if s := sources[0].Datasources[0]; s.Type != "prometheus" || s.URL != "http://prometheus:9090" {
		t.Errorf("the data source is %+v", s)
	}
	providers := documents[struct {
		Providers []struct{ Options struct{ Path string } }
	}](t, mounts["/etc/grafana/provisioning/dashboards/redtick.yaml"])
	home := c.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if mounts[home] == "" || path.Dir(home) != providers[0].Providers[0].Options.Path {
		t.Errorf("dashboards are in %v, the first of them is %q, mounted is %v", providers, home, mounts)
	}
}

// listen is the port that a replica is told to listen on, as ":8080".
func listen(t *testing.T, args []string) string {
	t.Helper()
	i := slices.Index(args, "-listen")
	if i < 0 || i+1 == len(args) {
		t.Fatalf("there is no -listen in %q", args)
	}
	return args[i+1]
}
