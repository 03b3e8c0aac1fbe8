package otelredlock_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/otelredlock"
)

// Mutations that were made and seen to fail here:
//   - another name for redtick.nodes.out, or another outcome than "no_quorum": TestGrafana and TestRules
//   - "instance, host" for "instance, redtick_node" in grafana.json: TestGrafana
//   - an alert that operations.md does not name: TestOperations
//   - the alert on a fleet that stands still as an increase of 0: TestRules_promtool
//   - a row of the package doc taken out: TestPackageDoc

// series maps each metric and label to its values, as Prometheus gets them.
type series map[string]map[string][]string

// everything reports every kind of event, and every reason of a refusal.
func everything(t *testing.T, opts ...otelredlock.Option) series {
	t.Helper()
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		t.Fatal(err)
	}
	observe, err := otelredlock.NewObserver(metric.NewMeterProvider(metric.WithReader(reader)), noop.NewTracerProvider(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []redlock.EventKind{redlock.Acquired, redlock.Released, redlock.Lost, redlock.Renewed, redlock.RenewFailed,
		redlock.NodeOut, redlock.Elected} {
		observe(redlock.Event{Kind: kind, Name: "job", Node: "redis-a:6379", Missed: 1})
	}
	for _, result := range []string{"ok", "ended", "failed", "panicked", "lost", "abandoned"} {
		observe(redlock.Event{Kind: redlock.Ended, Name: "job", Result: result, At: time.Now(), Tick: time.Now()})
	}
	for _, reason := range []error{redlock.ErrTickDone, redlock.ErrTaken, redlock.ErrPaused, redlock.ErrNoQuorum, redlock.ErrTickStale, redlock.ErrClockSkew,
		context.Canceled, redlock.ErrClosed, redlock.ErrInvalid} {
		observe(redlock.Event{Kind: redlock.Refused, Name: "job", Err: reason})
	}
	return read(t, registry)
}

// Seen to fail when one of the metrics still has the name.
func TestWithoutName(t *testing.T) {
	named := everything(t)
	for metric, labels := range everything(t, otelredlock.WithoutName()) {
		if _, ok := labels["redtick_name"]; ok {
			t.Errorf("%s has the name", metric)
		}
		if named[metric] == nil {
			t.Errorf("%s is only there without the name", metric)
		}
	}
}

func read(t *testing.T, registry *prometheus.Registry) series {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := series{}
	for _, family := range families {
		labels := map[string][]string{"instance": nil} // Prometheus adds it
		for _, m := range family.Metric {
			for _, l := range m.Label {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		all[family.GetName()] = labels
		if strings.HasSuffix(family.GetName(), "_seconds") {
			all[family.GetName()+"_count"] = labels
			all[family.GetName()+"_bucket"] = labels
			labels["le"] = nil
		}
	}
	return all
}

var (
	ours       = regexp.MustCompile(`redtick_\w+`)
	attribute  = regexp.MustCompile(`^redtick_(name|outcome|result|end|node)$`)
	matcher    = regexp.MustCompile(`(\w+)=~?"([^"]*)"`)
	grouping   = regexp.MustCompile(`by \(([^)]*)\)`)
	expression = regexp.MustCompile(`(?m)expr: (.*)$`)
)

// metrics returns the metrics that a query or a text mentions.
func metrics(query string) (names []string) {
	for _, name := range ours.FindAllString(query, -1) {
		if !attribute.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

// The dashboard queries only what the observer reports.
func TestGrafana(t *testing.T) {
	text, err := os.ReadFile("example/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatal("grafana.json is no JSON")
	}
	all := everything(t)
	queries := regexp.MustCompile(`"expr": ("(?:[^"\\]|\\.)*")`).FindAllSubmatch(text, -1)
	if len(queries) < 8 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	for _, found := range queries {
		var query string
		if err := json.Unmarshal(found[1], &query); err != nil {
			t.Fatal(err)
		}
		checkQuery(t, query, all)
	}
	for _, used := range metrics(string(text)) {
		if all[used] == nil {
			t.Errorf("no observer reports %s", used)
		}
	}
}

// So do the alerts.
func TestRules(t *testing.T) {
	text, err := os.ReadFile("../../docs/prometheus.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	queries := expression.FindAllStringSubmatch(string(text), -1)
	if len(queries) < 8 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	all := everything(t)
	for _, found := range queries {
		checkQuery(t, found[1], all)
	}
}

// The alerts fire for a dead fleet and in trouble, but not for a healthy fleet or a deployment.
func TestRules_promtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("REDTICK_REQUIRE_PROMTOOL") != "" {
			t.Fatal("promtool is missing; install it: apt-get install -y prometheus")
		}
		t.Skip("SKIPPED: promtool is missing, so the alerts are not tested; install it: apt-get install -y prometheus")
	}
	for _, args := range [][]string{{"check", "rules", "prometheus.rules.yaml"}, {"test", "rules", "prometheus.test.yaml"}} {
		c := exec.Command(promtool, args...)
		c.Dir = "../../docs"
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// The documentation names each alert, and no other.
func TestOperations(t *testing.T) {
	named := func(file, pattern string) (names []string) {
		text, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			names = append(names, found[1])
		}
		slices.Sort(names)
		return names
	}
	alerts, told := named("prometheus.rules.yaml", `- alert: (\w+)`), named("operations.md", "`(Redtick\\w+)`")
	if len(alerts) == 0 || !slices.Equal(alerts, told) {
		t.Errorf("operations.md names the alerts %q, the rules are %q", told, alerts)
	}
}

func checkQuery(t *testing.T, query string, all series) {
	t.Helper()
	used := metrics(query)
	if len(used) == 0 || all[used[0]] == nil {
		t.Errorf("no observer reports what is asked for: %s", query)
		return
	}
	labels := all[used[0]]
	for _, m := range matcher.FindAllStringSubmatch(query, -1) {
		for _, value := range strings.Split(m[2], "|") {
			if !strings.HasPrefix(value, "$") && m[1] != "redtick_name" && !slices.Contains(labels[m[1]], value) {
				t.Errorf("%s: the label %q never is %q", query, m[1], value)
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for _, label := range strings.Split(g[1], ", ") {
			if _, ok := labels[label]; !ok {
				t.Errorf("%s: there is no label %q", query, label)
			}
		}
	}
}

// The package's documentation lists each metric, with its attributes and outcomes.
func TestPackageDoc(t *testing.T) {
	source, err := os.ReadFile("observer.go")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(source), "\npackage ")
	documented := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^//\t(redtick\.\S+)(.*)$`).FindAllStringSubmatch(text, -1) {
		documented[strings.ReplaceAll(row[1], ".", "_")] = row[2]
	}
	for name, labels := range everything(t) {
		if !strings.HasPrefix(name, "redtick_") || strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_bucket") {
			continue
		}
		row, ok := documented[strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_seconds")]
		if !ok {
			t.Errorf("%s is not documented", name)
		}
		for _, attribute := range []string{"name", "outcome", "end", "node", "result"} {
			for _, value := range labels["redtick_"+attribute] {
				listed := attribute == "name" || attribute == "node" || name == "redtick_acquire_duration_seconds"
				if !strings.Contains(row, attribute) || !listed && !strings.Contains(row, value) {
					t.Errorf("%s: %s=%q is not documented", name, attribute, value)
				}
			}
		}
	}
}
