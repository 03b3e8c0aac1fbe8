package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// panel is one figure of one scenario as bars.
type panel struct {
	Title  string
	Bars   []bar
	X, Y   int
	Height int
}

type bar struct {
	Name, Text string
	Y          int
	Width      int
	Kind       string // "floor", "ours" or "peer": the class that colours it
}

// shown lists the panels of the chart: a scenario, a figure of it, and the baseline of its ratios.
var shown = []struct{ scenario, figure, against, title string }{
	{"pair-1", opTime, goredisFloor, "lock + unlock, 1 node, time"},
	{"pair-5", opTime, goredisFloor, "lock + unlock, 5 nodes, time"},
	{"parallel-1", opRate, goredisFloor, "64 goroutines, 1 node, pairs per second (longer is better)"},
	{"parallel-5", opRate, goredisFloor, "64 goroutines, 5 nodes, pairs per second (longer is better)"},
	{"parallel-5", clientCPU, tcpFloor, "64 goroutines, 5 nodes, client CPU per pair"},
	{"try-5", opTime, goredisFloor, "a try that loses, 5 nodes, time"},
	{"handover-1", handoverTime, oracleFloor, "hand-over between 8 clients, 1 node, time"},
	{"handover-5", handoverTime, oracleFloor, "hand-over between 8 clients, 5 nodes, time"},
	{"held", renewalCPU, goredisFloor, "leases renewed, client CPU per renewal"},
}

const (
	panelWidth = 470
	barsWidth  = 210
	barStep    = 17
	headHeight = 28
)

// draw writes the charts of the report.
func (r report) draw(dir string) error {
	var panels []panel
	for _, s := range shown {
		if lines := r.lines(s.scenario); lines != nil {
			panels = append(panels, newPanel(s.title+", x "+short(s.against), lines, s.figure, s.against))
		}
	}
	if err := render(filepath.Join(dir, "chart.svg"), barChart, layOut(panels, r.Machine.String())); err != nil {
		return err
	}
	return render(filepath.Join(dir, "growth.svg"), lineChart, layOut(r.curves(), r.Machine.String()))
}

func (r report) lines(scenario string) []line {
	for _, s := range r.Results {
		if s.Scenario == scenario {
			return s.Lines
		}
	}
	return nil
}

func short(floor string) string { return strings.TrimPrefix(floor, "floor: ") }

func newPanel(title string, lines []line, figure, against string) panel {
	p := panel{Title: title}
	longest := 0.0
	ratios := make([]float64, len(lines))
	for i, l := range lines {
		ratios[i], _ = ratio(l, find(lines, against), figure)
		longest = max(longest, ratios[i])
	}
	if longest >= tooLong {
		p.Title += " (log scale)"
	}
	for i, l := range lines {
		if ratios[i] == 0 {
			continue
		}
		p.Bars = append(p.Bars, bar{
			Name: l.Name, Text: significant(ratios[i]), Kind: kind(l.Name),
			Y: headHeight + barStep*len(p.Bars), Width: max(1, int(length(ratios[i], longest)*barsWidth)),
		})
	}
	p.Height = headHeight + barStep*len(p.Bars) + 22
	return p
}

// tooLong is the ratio from which bars are drawn on a logarithmic scale.
const tooLong = 50

// length returns the length of a bar as a share of the longest.
func length(v, longest float64) float64 {
	if longest < tooLong {
		return v / longest
	}
	return max(0, math.Log(v/0.1)/math.Log(longest/0.1))
}

func kind(name string) string {
	switch {
	case strings.HasPrefix(name, "floor"):
		return "floor"
	case strings.HasPrefix(name, "redtick"):
		return "ours"
	}
	return "peer"
}

// page is panels in two columns.
type page[P any] struct {
	Panels        []P
	Width, Height int
	Machine       string
}

type placed interface {
	height() int
	at(x, y int)
}

func (p *panel) height() int { return p.Height }
func (p *panel) at(x, y int) { p.X, p.Y = x, y }

func layOut[P any, T interface {
	*P
	placed
}](panels []P, machine string) page[P] {
	tall := [2]int{10, 10}
	for i := range panels {
		column := 0
		if tall[1] < tall[0] {
			column = 1
		}
		T(&panels[i]).at(10+column*panelWidth, tall[column])
		tall[column] += T(&panels[i]).height()
	}
	return page[P]{panels, 2*panelWidth + 10, max(tall[0], tall[1]) + 24, machine}
}

func render(file, text string, data any) error {
	t, err := template.New("").Funcs(template.FuncMap{"sub": func(a, b int) int { return a - b }, "add": func(a, b int) int { return a + b }}).Parse(text)
	if err != nil {
		return err
	}
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	defer w.Close()
	return t.Execute(w, data)
}

const style = `<style>
text{font:11px sans-serif;fill:#24292f}.head{font-weight:bold}.note{fill:#57606a}.floor{fill:#afb8c1}.ours{fill:#1f883d}.peer{fill:#d4a72c}
.grid{stroke:#d0d7de;stroke-width:1}.curve{fill:none;stroke:#1f883d;stroke-width:2}.end{text-anchor:end}.middle{text-anchor:middle}
</style>
<rect width="100%" height="100%" fill="#fff"/>
`

const barChart = `<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="{{.Height}}" viewBox="0 0 {{.Width}} {{.Height}}">
` + style + `{{range .Panels}}<g transform="translate({{.X}},{{.Y}})"><text class="head" y="14">{{.Title}}</text>
{{range .Bars}}<text class="end" x="184" y="{{add .Y 11}}">{{.Name}}</text><rect class="{{.Kind}}" x="190" y="{{.Y}}" width="{{.Width}}" height="13"/><text x="{{add 194 .Width}}" y="{{add .Y 11}}">{{.Text}}</text>
{{end}}</g>
{{end}}<text class="note" x="10" y="{{sub .Height 8}}">{{.Machine}}</text>
</svg>
`
