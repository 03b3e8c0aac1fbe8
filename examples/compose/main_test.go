//go:build unix

package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// Mutations that were made and seen to fail here: no observer, another metric's
// name in the rules or in grafana.json, /readyz that heeds no error, /livez that
// asks the nodes, another path in a manifest, maxmemory-policy allkeys-lru.

// What compose.yaml and the manifests say, started as processes.
func TestCompose_processes(t *testing.T) {
	c := readCompose(t)
	nodes, addrs := startNodes(t, c)
	fleet := startFleet(t, c, addrs)
	probes := readManifests(t, "replica.yaml")["Deployment"].container(t)
	ready, live := probes.ReadinessProbe.HTTPGet.Path, probes.LivenessProbe.HTTPGet.Path
	metrics := readManifests(t, "replica.yaml")["Deployment"].Spec.Template.Metadata.Annotations["prometheus.io/path"]
	for _, r := range fleet {
		r.await(ready, http.StatusOK, `^$`)
		r.await(live, http.StatusOK, `^$`)
		r.await("/redtick/", http.StatusOK, `(?i)^<!doctype html>`)
	}
	checkHealthcheck(t, c, ready)

	nodes[0].Kill()
	fleet[0].await(ready, http.StatusOK, regexp.QuoteMeta(nodes[0].Addr()))
	awaitMetrics(t, fleet, metrics, asked(t))
	if status := fleet[2].end(); status != 0 {
		t.Errorf("a replica that is told to end has status %d: %s", status, &fleet[2].stderr)
	}
	nodes[1].Kill()
	fleet[0].await(ready, http.StatusServiceUnavailable, "no quorum")
	fleet[0].await(live, http.StatusOK, `^$`)
	fleet[0].end()
	fleet[1].end()
}

// startNodes runs what the services redis-1 to redis-3 run.
func startNodes(t *testing.T, c composeFile) (nodes []*redisserver.Server, addrs map[string]string) {
	t.Helper()
	addrs = map[string]string{}
	for _, name := range c.named(t, "redis") {
		command := c.Services[name].Command
		if command[0] != "redis-server" {
			t.Fatalf("%s runs %q", name, command)
		}
		node := redisserver.Start(t, command[1:]...)
		for setting, want := range map[string]string{"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"} {
			if got, err := node.Do("CONFIG", "GET", setting); err != nil || fmt.Sprint(got) != fmt.Sprint([]any{setting, want}) {
				t.Errorf("%s: %v, %v, want %s", name, got, err, want)
			}
		}
		nodes, addrs[name+":6379"] = append(nodes, node), node.Addr()
	}
	return nodes, addrs
}

// build does what the Dockerfile does, and returns its ENTRYPOINT.
func build(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	run := regexp.MustCompile(`(?m)^RUN (.*)$`).FindSubmatch(text)
	entry := regexp.MustCompile(`(?m)^ENTRYPOINT \["(.*)"\]$`).FindSubmatch(text)
	if run == nil || entry == nil {
		t.Fatal("the Dockerfile has no RUN or no ENTRYPOINT")
	}
	out := t.TempDir()
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(string(run[1]), "/out/", out+"/"))
	cmd.Dir = "../.."
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return filepath.Join(out, string(entry[1]))
}

// replica is a process.
type replica struct {
	*testing.T
	name, url string
	cmd       *exec.Cmd
	stderr    bytes.Buffer
}

// startFleet runs the services replica-1 to replica-3; only addresses are others.
func startFleet(t *testing.T, c composeFile, addrs map[string]string) (fleet []*replica) {
	t.Helper()
	binary := build(t)
	for _, name := range c.named(t, "replica") {
		s := c.Services[name]
		args, port := slices.Clone(s.Command), freePort(t)
		args[slices.Index(args, "-listen")+1] = port
		r := &replica{T: t, name: name, url: "http://" + port, cmd: exec.Command(binary, args...)}
		for variable, value := range s.Environment {
			if variable == "REDIS_ADDRS" {
				value = translate(t, value, addrs)
			}
			r.cmd.Env = append(r.cmd.Env, variable+"="+value)
		}
		r.cmd.Stderr = &r.stderr
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.cmd.Process.Kill() })
		fleet = append(fleet, r)
	}
	return fleet
}

// translate takes all services' addresses to those of the processes.
func translate(t *testing.T, list string, addrs map[string]string) string {
	t.Helper()
	var all []string
	for _, addr := range strings.Split(list, ",") {
		if addrs[addr] == "" || slices.Contains(all, addrs[addr]) {
			t.Fatalf("%s in REDIS_ADDRS is no service, or named twice", addr)
		}
		all = append(all, addrs[addr])
	}
	if len(all) != len(addrs) {
		t.Fatalf("REDIS_ADDRS names %d of %d nodes", len(all), len(addrs))
	}
	return strings.Join(all, ",")
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// get returns the answer to a request of path; an error is status 0.
func (r *replica) get(path string) (status int, body string) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(r.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

const patience = 30 * time.Second

func (r *replica) await(path string, status int, body string) {
	r.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got, text := r.get(path)
		if got == status && regexp.MustCompile(body).MatchString(text) {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s: %s answers %d %.300q, want %d %s", r.name, path, got, text, status, body)
		}
	}
}

// end asks the replica to end, and returns its status.
func (r *replica) end() int {
	r.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	stuck := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() })
	_ = r.cmd.Wait()
	if !stuck.Stop() {
		r.Errorf("%s did not end within %v", r.name, patience)
	}
	if strings.Contains(r.stderr.String(), "panic") {
		r.Errorf("%s: %s", r.name, &r.stderr)
	}
	return r.cmd.ProcessState.ExitCode()
}

// checkHealthcheck: the healthcheck of a container asks what the probe of a pod does.
func checkHealthcheck(t *testing.T, c composeFile, ready string) {
	t.Helper()
	for _, name := range c.named(t, "replica") {
		want := "http://127.0.0.1" + listen(t, c.Services[name].Command) + ready
		if test := c.Services[name].Healthcheck.Test; len(test) == 0 || test[len(test)-1] != want {
			t.Errorf("%s: the health check is %q, want %s", name, test, want)
		}
	}
}

// asked returns the metrics that the alerts and the dashboard use.
func asked(t *testing.T) (names []string) {
	t.Helper()
	c := readCompose(t)
	prometheus, grafana := c.mounts(t, "prometheus"), c.mounts(t, "grafana")
	for _, file := range []string{prometheus["/etc/prometheus/redtick.rules.yaml"], grafana["/etc/grafana/redtick/grafana.json"]} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`redtick_\w+`).FindAllString(string(text), -1)
		if len(found) < 8 {
			t.Fatalf("%s asks for %v only", file, found)
		}
		names = append(names, found...)
	}
	label := regexp.MustCompile(`^redtick_(name|outcome|result|node)$`)
	names = slices.DeleteFunc(names, label.MatchString)
	slices.Sort(names)
	return slices.Compact(names)
}

var failure = regexp.MustCompile(`(?m)^redtick_runs_total\{.*redtick_name="feed".*redtick_result="failed".*\} [1-9]`)

// awaitMetrics returns once the fleet serves all that is asked for, and a run has failed.
func awaitMetrics(t *testing.T, fleet []*replica, path string, names []string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		var served strings.Builder
		for _, r := range fleet {
			_, text := r.get(path)
			served.WriteString(text)
		}
		missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return strings.Contains(served.String(), "\n"+name+"{") || strings.Contains(served.String(), "\n"+name+" ")
		})
		if len(missing) == 0 && failure.MatchString(served.String()) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v is asked for and nobody serves it, or no run has failed\n%s", missing, served.String())
		}
	}
}
