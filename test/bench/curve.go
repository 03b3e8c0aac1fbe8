package main

import (
	"fmt"
	"math"
	"strings"
)

// curve is how one figure grows along the axis of a scenario.
type curve struct {
	Title  string
	Axis   string
	Path   string
	Points []mark
	X, Y   int
}

type mark struct {
	X, Y       float64
	Text, Name string
}

const (
	curveWidth  = 380
	curveHeight = 120
)

func (c *curve) height() int { return curveHeight + 85 }
func (c *curve) at(x, y int) { c.X, c.Y = x, y }

// grows lists the curves: a scenario and a figure of it.
var grows = []struct{ scenario, figure, title string }{
	{"jobs", tickTime, "us per tick, 10 replicas, until all know"},
	{"replicas", tickTime, "us per tick, 1,000 jobs, until all know"},
	{"jobs", serverCPU, "server CPU us per tick, 10 replicas"},
	{"replicas", serverCPU, "server CPU us per tick, 1,000 jobs"},
	{"names", opTime, "us per claim + unlock"},
	{"names", serverCPU, "server CPU us per claim + unlock"},
	{"nodes", opTime, "us per lock + unlock"},
	{"nodes", clientCPU, "client CPU us per lock + unlock"},
	{"waiters", handoverTime, "us per hand-over"},
	{"waiters", clientCPU, "client CPU us per hand-over"},
	{"leases", cpuShare, "client CPU for renewal, % of a core"},
	{"leases", grown, "goroutines"},
	{"latency", tripsTry, "TryLock, round trips"},
	{"latency", tripsClaim, "Claim, round trips"},
}

func (r report) curves() (curves []curve) {
	for _, g := range grows {
		for _, s := range r.Results {
			if s.Scenario == g.scenario {
				curves = append(curves, newCurve(g.title, s, g.figure))
			}
		}
	}
	return curves
}

func newCurve(title string, s result, figure string) curve {
	c := curve{Title: title, Axis: s.Axis}
	most, first, last := 0.0, s.Lines[0].X, s.Lines[len(s.Lines)-1].X
	for _, l := range s.Lines {
		most = max(most, l.Median[figure])
	}
	logarithmic := last > 20*first
	var path []string
	for _, l := range s.Lines {
		x := (l.X - first) / (last - first)
		if logarithmic {
			x = math.Log(l.X/first) / math.Log(last/first)
		}
		y := 1 - max(0, l.Median[figure])/max(most, 1e-9)
		m := mark{40 + x*curveWidth, 30 + y*curveHeight, significant(l.Median[figure]), l.Name}
		c.Points = append(c.Points, m)
		path = append(path, fmt.Sprintf("%.1f,%.1f", m.X, m.Y))
	}
	c.Path = strings.Join(path, " ")
	return c
}

// significant formats v with three digits.
func significant(v float64) string {
	switch {
	case math.Abs(v) >= 100:
		return grouped(int(math.Round(v)))
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

const lineChart = `<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="{{.Height}}" viewBox="0 0 {{.Width}} {{.Height}}">
` + style + `{{range .Panels}}<g transform="translate({{.X}},{{.Y}})"><text class="head" y="14">{{.Title}}</text>
<line class="grid" x1="30" y1="150" x2="430" y2="150"/><polyline class="curve" points="{{.Path}}"/>
{{range .Points}}<circle class="ours" cx="{{printf "%.1f" .X}}" cy="{{printf "%.1f" .Y}}" r="3"/><text class="middle" x="{{printf "%.1f" .X}}" y="{{printf "%.1f" .Y}}" dy="-6">{{.Text}}</text><text class="middle note" x="{{printf "%.1f" .X}}" y="165">{{.Name}}</text>
{{end}}<text class="middle note" x="230" y="182">{{.Axis}}</text></g>
{{end}}<text class="note" x="10" y="{{sub .Height 8}}">{{.Machine}}</text>
</svg>
`
