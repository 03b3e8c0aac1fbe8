//go:build unix

package main_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// manifest is what the tests read of an object.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Replicas    int
		ServiceName string    `yaml:"serviceName"`
		Selector    yamlLabel // of a Service, or with matchLabels
		Ports       []struct {
			Name       string
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Labels, Annotations map[string]string }
			Spec     struct{ Containers []container }
		}
	}
}

type yamlLabel struct {
	App         string
	MatchLabels struct{ App string } `yaml:"matchLabels"`
}

type container struct {
	Args  []string
	Env   []struct{ Name, Value string }
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	ReadinessProbe probe `yaml:"readinessProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// readManifests are the objects of a file, by kind.
func readManifests(t *testing.T, file string) map[string]manifest {
	t.Helper()
	all := map[string]manifest{}
	for _, m := range documents[manifest](t, "../kubernetes/"+file) {
		all[m.Kind] = m
	}
	return all
}

func (m manifest) container(t *testing.T) container {
	t.Helper()
	if len(m.Spec.Template.Spec.Containers) != 1 || m.Spec.Replicas != 3 {
		t.Fatalf("%s %s has not one container and three replicas", m.Kind, m.Metadata.Name)
	}
	return m.Spec.Template.Spec.Containers[0]
}

// checkService says that a Service finds a workload's pods and port.
func checkService(t *testing.T, s, workload manifest) {
	t.Helper()
	app, port := workload.Spec.Template.Metadata.Labels["app"], workload.container(t).Ports[0]
	if app == "" || s.Spec.Selector.App != app || workload.Spec.Selector.MatchLabels.App != app {
		t.Errorf("%s: the labels and the selectors differ", s.Metadata.Name)
	}
	if p := s.Spec.Ports[0]; p.Port != port.ContainerPort || p.TargetPort != "" && p.TargetPort != port.Name {
		t.Errorf("%s: port %+v of the Service is not %+v", s.Metadata.Name, p, port)
	}
}

// The nodes are what compose.yaml runs, which TestCompose_processes does here.
func TestKubernetes_redis(t *testing.T) {
	m := readManifests(t, "redis.yaml")
	nodes := m["StatefulSet"]
	checkService(t, m["Service"], nodes)
	if got, want := nodes.container(t).Args, readCompose(t).Services["redis-1"].Command; !slices.Equal(got, want) {
		t.Errorf("its command is %q, want %q", got, want)
	}
	if app := m["PodDisruptionBudget"].Spec.Selector.MatchLabels.App; app != nodes.Spec.Template.Metadata.Labels["app"] {
		t.Errorf("the budget is for %q", app)
	}
	var want []string
	for i := range nodes.Spec.Replicas {
		want = append(want, fmt.Sprintf("%s-%d.%s:%d", nodes.Metadata.Name, i, nodes.Spec.ServiceName, nodes.container(t).Ports[0].ContainerPort))
	}
	env := readManifests(t, "replica.yaml")["Deployment"].container(t).Env
	if len(env) != 1 || env[0].Value != strings.Join(want, ",") {
		t.Errorf("the replicas are told %v, want %v", env, want)
	}
}

// So are the replicas. Their probes are asked in TestCompose_processes.
func TestKubernetes_replica(t *testing.T) {
	m := readManifests(t, "replica.yaml")
	fleet := m["Deployment"]
	checkService(t, m["Service"], fleet)
	c, twin := fleet.container(t), readCompose(t).Services["replica-1"]
	if !slices.Equal(c.Args, twin.Command) || !slices.Equal(slices.Collect(maps.Keys(twin.Environment)), []string{c.Env[0].Name}) {
		t.Errorf("it is started with %q and %v, want %q and %v", c.Args, c.Env, twin.Command, twin.Environment)
	}
	port := fmt.Sprintf(":%d", c.Ports[0].ContainerPort)
	if told := listen(t, c.Args); told != port || ":"+fleet.Spec.Template.Metadata.Annotations["prometheus.io/port"] != port {
		t.Errorf("it listens on %s, its port is %s, the annotations are %v", told, port, fleet.Spec.Template.Metadata.Annotations)
	}
	for _, p := range []probe{c.ReadinessProbe, c.LivenessProbe} {
		if p.HTTPGet.Port != c.Ports[0].Name {
			t.Errorf("a probe asks port %q, want %q", p.HTTPGet.Port, c.Ports[0].Name)
		}
	}
}
