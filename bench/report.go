package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what a call of the program measured.
type report struct {
	At      time.Time `json:"at"`
	Profile string    `json:"profile"`
	CPUs    int       `json:"cpus"`
	Results []*result `json:"results"`
}

// agreement is how far ratios of repeated runs may lie apart.
const agreement = 0.15

// write writes the report as JSON.
func (r *report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// columns of the table of results.
var columns = []struct {
	name  string
	value func(*result) string
}{
	{"scenario", func(r *result) string { return r.Scenario }},
	{"database", func(r *result) string { return r.Database }},
	{"events", func(r *result) string { return whole(float64(r.Events)) }},
	{"subs", func(r *result) string { return whole(float64(r.Subscribers)) }},
	{"floor/s", func(r *result) string { return whole(r.Floor) }},
	{"accepted/s", func(r *result) string { return whole(r.Accepted) }},
	{"delivered/s", func(r *result) string { return whole(r.Delivered) }},
	{"×floor", func(r *result) string { return some(r.Ratios["delivered to floor"]) }},
	{"p50 ms", func(r *result) string { return some(r.PublishToReceive.P50) }},
	{"p95 ms", func(r *result) string { return some(r.PublishToReceive.P95) }},
	{"p99 ms", func(r *result) string { return some(r.PublishToReceive.P99) }},
	{"lost", func(r *result) string { return strconv.Itoa(r.Lost) }},
	{"dup", func(r *result) string { return strconv.Itoa(r.Duplicated) }},
	{"carillon CPU s/1000", func(r *result) string { return some(r.Carillon.CPUSeconds) }},
	{"peak MB", func(r *result) string { return whole(r.Carillon.PeakMB) }},
	{"temporal CPU s/1000", func(r *result) string { return some(r.Temporal.CPUSeconds) }},
	{"peak MB", func(r *result) string { return whole(r.Temporal.PeakMB) }},
}

// whole and some leave out what was not measured.
func whole(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", v)
}

func some(v float64) string {
	if v == 0 {
		return "-"
	}
	return number(v)
}

// show prints one result with its thresholds.
func (r *result) show(w io.Writer) {
	fmt.Fprintf(w, "\n%s on %s (%s)\n", r.Scenario, r.Database, r.Took)
	if r.LeftOut != "" {
		fmt.Fprintf(w, "  left out: %s\n", r.LeftOut)
		return
	}
	writeTable(w, results([]*result{r}))
	if r.Stragglers > 0 {
		fmt.Fprintf(w, "  %d deliveries took more than %s; the others came at %s/s, %s times the floor\n",
			r.Stragglers, straggling, whole(r.Prompt), some(ratio(r.Prompt, r.Floor)))
	}
	if r.Relay > 0 {
		fmt.Fprintf(w, "  a relay that keeps nothing: %s events/s\n", whole(r.Relay))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Ratios)) {
		fmt.Fprintf(w, "  %s: %s\n", name, number(r.Ratios[name]))
	}
	for _, t := range r.Tables {
		writeTable(w, t)
	}
	for _, c := range r.Checks {
		verdict := "met"
		if !c.Met {
			verdict = "NOT MET"
		}
		fmt.Fprintf(w, "  %-7s  %s: %s (%s)\n", verdict, c.What, c.Got, c.Want)
	}
}

// results is the table of all of them.
func results(all []*result) table {
	t := table{Title: "a second, and per 1,000 deliveries"}
	for _, c := range columns {
		t.Header = append(t.Header, c.name)
	}
	for _, r := range all {
		if r.LeftOut != "" || r.Events == 0 {
			continue
		}
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = c.value(r)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func writeTable(w io.Writer, t table) {
	if len(t.Rows) == 0 {
		return
	}
	fmt.Fprintf(w, "  %s\n", t.Title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "  "+strings.Join(t.Header, "\t")+"\t")
	for _, row := range t.Rows {
		fmt.Fprintln(tw, "  "+strings.Join(row, "\t")+"\t")
	}
	_ = tw.Flush() // of a terminal
}

// repeated compares the ratios of scenarios that were run more than once.
func repeated(all []*result) table {
	type key struct{ database, scenario, ratio string }
	values := map[key][]float64{}
	for _, r := range all {
		for name, value := range r.Ratios {
			k := key{r.Database, r.Scenario, name}
			values[k] = append(values[k], value)
		}
	}
	t := table{Title: "repetitions", Header: []string{"database", "scenario", "ratio", "values", "apart", ""}}
	keys := slices.SortedFunc(maps.Keys(values), func(a, b key) int {
		return strings.Compare(a.database+"\x00"+a.scenario+"\x00"+a.ratio, b.database+"\x00"+b.scenario+"\x00"+b.ratio)
	})
	for _, k := range keys {
		if len(values[k]) < 2 {
			continue
		}
		var texts []string
		for _, v := range values[k] {
			texts = append(texts, number(v))
		}
		apart, verdict := spread(values[k]), "agree"
		if apart > agreement {
			verdict = "DIFFER"
		}
		t.Rows = append(t.Rows, []string{
			k.database, k.scenario, k.ratio, strings.Join(texts, " "), fmt.Sprintf("%.0f %%", 100*apart), verdict,
		})
	}
	return t
}

// spread is how far the greatest value is above the least, as a part of it.
func spread(values []float64) float64 {
	least := slices.Min(values)
	if least == 0 {
		return 0
	}
	return slices.Max(values)/least - 1
}

// agree reports whether no row of repetitions differs.
func agree(repetitions table) bool {
	return !slices.ContainsFunc(repetitions.Rows, func(row []string) bool { return row[len(row)-1] == "DIFFER" })
}
