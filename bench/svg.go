package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// chart is a picture of lines. Its axes are logarithmic: what is compared are
// ratios, and the values span decades.
type chart struct {
	Title, XLabel, YLabel string
	Lines                 []line
}

// Size of a chart in pixels, and of the margins around its plot.
const (
	chartWidth, chartHeight = 760, 440
	marginLeft, marginRight = 78, 20
	marginTop, marginBottom = 76, 56
)

// style draws on a ground of its own, so that the picture can be read on any
// page, and darkens with the reader's system.
const style = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}.tick{font-size:12px;fill:#59636e}
.ground{fill:#ffffff}.grid{stroke:#d1d9e0;stroke-width:1}.line{fill:none;stroke-width:2.5}
.c0{stroke:#0969da;fill:#0969da}.c1{stroke:#bc4c00;fill:#bc4c00}.c2{stroke:#1a7f37;fill:#1a7f37}.c3{stroke:#8250df;fill:#8250df}
.line.c0,.line.c1,.line.c2,.line.c3{fill:none}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.tick{fill:#9198a1}.ground{fill:#0d1117}.grid{stroke:#3d444d}
.c0{stroke:#4493f8;fill:#4493f8}.c1{stroke:#f0883e;fill:#f0883e}.c2{stroke:#3fb950;fill:#3fb950}.c3{stroke:#ab7df8;fill:#ab7df8}
.line.c0,.line.c1,.line.c2,.line.c3{fill:none}}
</style>`

// colors is how many the style has.
const colors = 4

// svg draws the chart.
func (c chart) svg() string {
	var b strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	draw(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`,
		chartWidth, chartHeight, html.EscapeString(c.Title))
	draw("%s", style)
	draw(`<rect class="ground" width="%d" height="%d" rx="6"/>`, chartWidth, chartHeight)
	draw(`<text class="title" x="%d" y="28">%s</text>`, marginLeft, html.EscapeString(c.Title))
	x := newScale(c.values(func(p point) float64 { return p.X }), marginLeft, chartWidth-marginRight)
	y := newScale(c.values(func(p point) float64 { return p.Y }), chartHeight-marginBottom, marginTop)
	for _, v := range y.ticks() {
		draw(`<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`, marginLeft, y.at(v), chartWidth-marginRight, y.at(v))
		draw(`<text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>`, marginLeft-8, y.at(v)+4, tick(v))
	}
	for _, v := range x.ticks() {
		draw(`<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, x.at(v), marginTop, x.at(v), chartHeight-marginBottom)
		draw(`<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>`, x.at(v), chartHeight-marginBottom+18, tick(v))
	}
	draw(`<text x="%d" y="%d" text-anchor="middle">%s</text>`, (marginLeft+chartWidth-marginRight)/2, chartHeight-12, html.EscapeString(c.XLabel))
	draw(`<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`,
		(marginTop+chartHeight-marginBottom)/2, html.EscapeString(c.YLabel))
	legend := marginLeft
	for i, l := range c.Lines {
		class := fmt.Sprintf("c%d", i%colors)
		var points []string
		for _, p := range l.Points {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
		}
		draw(`<polyline class="line %s" points="%s"/>`, class, strings.Join(points, " "))
		for _, p := range l.Points {
			draw(`<circle class="%s" cx="%.1f" cy="%.1f" r="3.5"><title>%s: %s at %s</title></circle>`,
				class, x.at(p.X), y.at(p.Y), html.EscapeString(l.Name), number(p.Y), number(p.X))
		}
		draw(`<rect class="%s" x="%d" y="48" width="14" height="4"/>`, class, legend)
		draw(`<text x="%d" y="55">%s</text>`, legend+20, html.EscapeString(l.Name))
		const letter = 7 // pixels, about
		legend += 20 + letter*len(l.Name) + 18
	}
	draw(`</svg>`)
	return b.String()
}

func (c chart) values(of func(point) float64) []float64 {
	var all []float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			all = append(all, of(p))
		}
	}
	return all
}

// scale places positive values between two pixels, logarithmically.
type scale struct {
	least, greatest float64
	from, to        float64
}

// newScale widens the values to the next tick on both sides.
func newScale(values []float64, from, to int) scale {
	s := scale{least: 1, greatest: 10, from: float64(from), to: float64(to)}
	values = slices.DeleteFunc(values, func(v float64) bool { return v <= 0 })
	if len(values) == 0 {
		return s
	}
	s.least, s.greatest = roundDown(slices.Min(values)), roundUp(slices.Max(values))
	if s.least == s.greatest {
		s.greatest = roundUp(s.greatest * 1.01)
	}
	return s
}

func (s scale) at(v float64) float64 {
	part := math.Log(math.Max(v, s.least)/s.least) / math.Log(s.greatest/s.least)
	return s.from + part*(s.to-s.from)
}

// steps are the ticks of a decade.
var steps = []float64{1, 2, 5, 10}

// ticks are round values over the scale.
func (s scale) ticks() []float64 {
	var all []float64
	for decade := math.Pow(10, math.Floor(math.Log10(s.least))); decade <= s.greatest; decade *= 10 {
		for _, step := range steps[:3] {
			if v := decade * step; v >= s.least*0.999 && v <= s.greatest*1.001 {
				all = append(all, v)
			}
		}
	}
	return all
}

func roundDown(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range slices.Backward(steps) {
		if decade*step <= v*1.001 {
			return decade * step
		}
	}
	return decade
}

func roundUp(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range steps {
		if decade*step >= v*0.999 {
			return decade * step
		}
	}
	return decade * 10
}

func tick(v float64) string {
	if v >= 1000 {
		return number(v/1000) + "k"
	}
	return number(v)
}

// drawAll draws the pictures of the results that have lines.
func drawAll(folder string, all []*result) error {
	pictures := map[string]chart{
		"fanout": {Title: "Throughput against fan-out", XLabel: "subscribers of an event", YLabel: "a second"},
		"load":   {Title: "Publish to receive, under load", XLabel: "events published a second", YLabel: "milliseconds"},
	}
	files := map[string]string{"fanout": "performance-throughput.svg", "load": "performance-latency.svg"}
	for _, r := range all {
		c, ok := pictures[r.Scenario]
		if !ok || r.Database != onSQLite {
			continue
		}
		c.Lines = r.Lines
		if err := os.WriteFile(filepath.Join(folder, files[r.Scenario]), []byte(c.svg()), 0o644); err != nil { //nolint:gosec // G306: a page's picture
			return fmt.Errorf("draw %s: %w", r.Scenario, err)
		}
	}
	return nil
}
