package main

import (
	"context"
	"fmt"
	"strconv"

	"errors"
)

// measureFanout measures throughput against the number of subscribers.
func measureFanout(ctx context.Context, b *bench) (*result, error) {
	r := &result{}
	for _, mode := range []struct {
		name        string
		env         []string
		connections int
	}{{"one run an event", nil, 64}, {"group commit", []string{groupCommit}, 256}} {
		deliveries := line{Name: "deliveries, " + mode.name}
		for _, subscribers := range []int{1, 3, 10, 30, 100} {
			shape := throughput{
				env: mode.env, connections: mode.connections, subscribers: subscribers,
				full: max(300, 4000/subscribers), short: max(100, 1000/subscribers),
			}
			one, err := shape.measure(ctx, b)
			if _, ok := errors.AsType[*leftOutError](err); ok {
				b.say("%s: %v", mode.name, err)
				break
			}
			if err != nil {
				return nil, fmt.Errorf("%d subscribers: %w", subscribers, err)
			}
			b.say("%s, %d subscribers: %.0f deliveries/s", mode.name, subscribers, one.Delivered)
			deliveries.Points = append(deliveries.Points, point{float64(subscribers), one.Delivered})
			if mode.env == nil {
				r.add("the engine's empty runs", point{float64(subscribers), one.Floor})
			}
			r.Lost += one.Lost
			r.Duplicated += one.Duplicated
		}
		if len(deliveries.Points) > 0 {
			r.Lines = append(r.Lines, deliveries)
		}
	}
	r.complete()
	return r, nil
}

// measureLoad measures latency against the rate of events.
func measureLoad(ctx context.Context, b *bench) (*result, error) {
	total := &result{}
	rows := table{Title: "by events a second", Header: []string{"events/s", "delivered/s", "p50 ms", "p95 ms", "p99 ms"}}
	for _, rate := range []int{10, 25, 50, 75, 100, 125, 150} {
		s, err := b.start(ctx)
		if err != nil {
			return nil, err
		}
		r := &result{}
		endpoints, err := s.fanOut(ctx, 1)
		if err == nil {
			err = s.steady(ctx, r, endpoints, float64(rate), rate*b.of(20, 6))
		}
		s.close(ctx)
		if err != nil {
			return nil, fmt.Errorf("%d events a second: %w", rate, err)
		}
		l := r.PublishToReceive
		total.add("p50", point{float64(rate), l.P50})
		total.add("p95", point{float64(rate), l.P95})
		total.add("p99", point{float64(rate), l.P99})
		total.Lost += r.Lost
		total.Duplicated += r.Duplicated
		rows.Rows = append(rows.Rows, []string{
			strconv.Itoa(rate), whole(r.Delivered), number(l.P50), number(l.P95), number(l.P99),
		})
	}
	total.Tables = append(total.Tables, rows)
	total.complete()
	return total, nil
}

// add adds a point to a line of the result.
func (r *result) add(name string, p point) {
	for i := range r.Lines {
		if r.Lines[i].Name == name {
			r.Lines[i].Points = append(r.Lines[i].Points, p)
			return
		}
	}
	r.Lines = append(r.Lines, line{name, []point{p}})
}
