package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// report is the content of results.json.
type report struct {
	Command string   `json:"command"`
	Machine machine  `json:"machine"`
	Slice   string   `json:"slice"`
	Results []result `json:"results"`
}

type result struct {
	Scenario string `json:"scenario"`
	Title    string `json:"title"`
	Axis     string `json:"axis,omitempty"`
	Lines    []line `json:"lines"`
}

// machine describes the machine that was measured.
type machine struct {
	Date    string            `json:"date"`
	CPU     string            `json:"cpu"`
	Cores   int               `json:"cores"`
	Kernel  string            `json:"kernel"`
	Go      string            `json:"go"`
	Redis   string            `json:"redis"`
	Modules map[string]string `json:"modules"`
}

func thisMachine(nodes servers) machine {
	m := machine{
		Date: time.Now().UTC().Format(time.RFC3339), CPU: cpuName(), Cores: runtime.NumCPU(), Kernel: kernel(),
		Go: runtime.Version(), Modules: map[string]string{},
	}
	if len(nodes) > 0 {
		text, _ := nodes[0].admin.Info(context.Background(), "server").Result()
		_, rest, _ := strings.Cut(text, "redis_version:")
		m.Redis, _, _ = strings.Cut(rest, "\r")
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, d := range build.Deps {
			m.Modules[d.Path] = d.Version
		}
	}
	return m
}

func (m machine) String() string {
	return m.CPU + ", " + grouped(m.Cores) + " cores, " + m.Kernel + ", " + m.Go + ", Redis " + m.Redis + " on loopback, " + m.Date[:10]
}

func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(text), "model name\t: ")
	name, _, _ := strings.Cut(rest, "\n")
	if name == "" {
		return output("sysctl", "-n", "machdep.cpu.brand_string")
	}
	return name
}

func output(command string, args ...string) string {
	text, err := exec.Command(command, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// write writes results.json and the charts to dir.
func (r report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), text, 0o644); err != nil {
		return err
	}
	return r.draw(dir)
}

// kernel returns the kernel's name and version, without suffixes of a distribution or host.
func kernel() string {
	name, version, _ := strings.Cut(output("uname", "-sr"), " ")
	parts := strings.SplitN(version, ".", 3)
	return name + " " + strings.Join(parts[:min(2, len(parts))], ".")
}
