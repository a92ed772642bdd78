package main

import (
	"fmt"
	"time"
)

// check is a threshold, and what came of it.
type check struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
	Met  bool   `json:"met"`
}

// table is what a scenario shows beside its result.
type table struct {
	Title  string     `json:"title"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// point is a value of a picture.
type point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// line is the points of a picture that belong together.
type line struct {
	Name   string  `json:"name"`
	Points []point `json:"points"`
}

// result is what one scenario came to.
type result struct {
	Scenario string `json:"scenario"`
	Database string `json:"database"`
	// LeftOut says why the scenario was not run, as by a binary that cannot do
	// what it measures.
	LeftOut string `json:"left_out,omitempty"`

	Events      int `json:"events,omitempty"`
	Subscribers int `json:"subscribers,omitempty"`
	Connections int `json:"connections,omitempty"`

	// A second.
	Floor     float64 `json:"floor_per_second,omitempty"`
	Relay     float64 `json:"relay_per_second,omitempty"`
	Accepted  float64 `json:"accepted_per_second,omitempty"`
	Delivered float64 `json:"delivered_per_second,omitempty"`

	// PublishToReceive is from the post of an event to its first arrival.
	PublishToReceive latencies `json:"publish_to_receive"`
	// Stragglers took more than 10 s: a task of theirs was lost and handed out
	// again. A single one sets the time that all deliveries took.
	Stragglers int `json:"stragglers"`
	// Prompt is the rate of the other deliveries, where there are stragglers.
	Prompt float64 `json:"prompt_per_second,omitempty"`
	tally
	// Reposted counts posts made again because no answer came, or 503.
	Reposted int64 `json:"reposted"`

	Carillon cost `json:"carillon"`
	Temporal cost `json:"temporal"`

	// Ratios are what is compared between runs and machines.
	Ratios map[string]float64 `json:"ratios,omitempty"`
	Checks []check            `json:"checks,omitempty"`
	Tables []table            `json:"tables,omitempty"`
	Lines  []line             `json:"lines,omitempty"`
	Took   string             `json:"took"`
}

// cost is what a program took of the machine.
type cost struct {
	// CPUSeconds are those of 1,000 deliveries.
	CPUSeconds float64 `json:"cpu_seconds_per_1000"`
	// PeakMB is the most memory that it had since it was started.
	PeakMB float64 `json:"peak_mb"`
}

const megabyte = 1 << 20

func newCost(before, after usage, deliveries int) cost {
	return cost{
		CPUSeconds: ratio((after.CPU-before.CPU).Seconds()*1000, float64(deliveries)),
		PeakMB:     float64(after.Peak) / megabyte,
	}
}

// ratio notes a ratio.
func (r *result) ratio(name string, value float64) {
	if r.Ratios == nil {
		r.Ratios = map[string]float64{}
	}
	r.Ratios[name] = value
}

// atLeast checks a value against the least that it may be.
func (r *result) atLeast(what string, got, want float64) {
	r.Checks = append(r.Checks, check{what, "at least " + number(want), number(got), got >= want})
}

// atMost checks a value against the most that it may be.
func (r *result) atMost(what string, got, want float64) {
	r.Checks = append(r.Checks, check{what, "at most " + number(want), number(got), got <= want})
}

// complete checks that nothing was lost.
func (r *result) complete() { r.atMost("lost", float64(r.Lost), 0) }

// number writes a value with the digits that mean something.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// met reports whether every threshold was met; what was left out meets none.
func (r *result) met() bool {
	for _, c := range r.Checks {
		if !c.Met {
			return false
		}
	}
	return r.LeftOut == ""
}

// fill computes what every scenario of throughput says of its posts.
func (r *result) fill(all []event, posts []posted, endpoints []*endpoint) {
	begin, acknowledged := posts[0].sent, posts[0].acked
	for _, p := range posts {
		if p.sent.Before(begin) {
			begin = p.sent
		}
		if p.acked.After(acknowledged) {
			acknowledged = p.acked
		}
	}
	arrivals := snapshots(endpoints)
	r.Events, r.Subscribers = len(all), len(endpoints)
	r.tally = count(ids(all), arrivals)
	deliveries := len(all)*len(endpoints) - r.Lost
	r.Accepted = float64(len(all)) / acknowledged.Sub(begin).Seconds()
	if end := last(arrivals); end.After(begin) {
		r.Delivered = float64(deliveries) / end.Sub(begin).Seconds()
	}
	r.PublishToReceive = summarize(journeys(all, posts, arrivals))
	r.straggle(all, posts, arrivals, begin)
}

// straggle sets apart what took long.
func (r *result) straggle(all []event, posts []posted, arrivals []map[string]arrival, begin time.Time) {
	prompt, end := 0, begin
	for _, at := range arrivals {
		for i, e := range all {
			switch a, ok := at[e.id]; {
			case !ok:
			case a.First.Sub(posts[i].sent) > straggling:
				r.Stragglers++
			default:
				prompt++
				if a.First.After(end) {
					end = a.First
				}
			}
		}
	}
	if r.Stragglers > 0 && end.After(begin) {
		r.Prompt = float64(prompt) / end.Sub(begin).Seconds()
	}
}

// straggling is far above what a loaded machine needs, and below the 60 s after
// which Temporal hands a lost task out again.
const straggling = 10 * time.Second

func ids(all []event) []string {
	list := make([]string, len(all))
	for i, e := range all {
		list[i] = e.id
	}
	return list
}

// journeys are the times from post to first arrival, at each endpoint.
func journeys(all []event, posts []posted, arrivals []map[string]arrival) []time.Duration {
	var took []time.Duration
	for _, at := range arrivals {
		for i, e := range all {
			if a, ok := at[e.id]; ok {
				took = append(took, a.First.Sub(posts[i].sent))
			}
		}
	}
	return took
}
