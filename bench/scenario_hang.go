package main

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

// hanging is how long the receiver takes to answer: longer than any attempt.
const hanging = 30 * time.Second

// hangingRate is how many events a second are posted for it: with those of the
// healthy one still a calm rate, so that what is measured is not a busy machine.
const hangingRate = 25

// retries makes a subscription retry after the delays, over and over, and
// never disables it.
func retries(delays ...time.Duration) func(*client.Subscription) {
	retry := &carillon.Retry{Disable: carillon.DisableNever}
	for i := range carillon.MaxRetries {
		retry.Schedule = append(retry.Schedule, carillon.Duration(delays[min(i, len(delays)-1)]))
	}
	return func(s *client.Subscription) { s.Retry = retry }
}

// measureHang compares a healthy receiver's latency alone, beside one that
// hangs, and while that one's deliveries are retried.
func measureHang(ctx context.Context, b *bench) (*result, error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close(ctx)
	endpoints, err := s.fanOut(ctx, 1)
	if err != nil {
		return nil, err
	}
	const path = "/hang"
	s.receiver.at(path).hang.Store(int64(hanging))
	timeout := b.lasting(15, 5)
	_, err = s.subscribe(ctx, otherFeed, path, retries(5*time.Second), func(sub *client.Subscription) {
		sub.Endpoint = client.Webhook{URL: s.receiver.url(path), Timeout: carillon.Duration(timeout)}
	})
	if err != nil {
		return nil, err
	}
	r := &result{Connections: calmConnections}
	alone := int(timeout.Seconds()) * calmRate
	if err := s.steady(ctx, r, endpoints, calmRate, alone); err != nil {
		return nil, err
	}
	return r, s.besideHanging(ctx, b, r, endpoints[0], warmUp+alone)
}

// besideHanging posts to both, and to the healthy one alone while the other's
// are retried.
func (s *stack) besideHanging(ctx context.Context, b *bench, r *result, healthy *endpoint, before int) error {
	victims := b.of(500, 200)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	posting := make(chan error, 1)
	go func() {
		l := s.load(16)
		defer l.close()
		_, err := l.open(ctx, events("hanging", otherFeed, victims), hangingRate)
		posting <- err
	}()
	l := s.load(calmConnections)
	defer l.close()
	first := victims / hangingRate * calmRate // while the others are posted
	all := events("beside", feed, 3*first)
	posts, err := l.open(ctx, all, calmRate)
	if err != nil {
		return err
	}
	if err := await(ctx, before+len(all), healthy); err != nil {
		return err
	}
	if err := <-posting; err != nil {
		return err
	}
	arrivals := []map[string]arrival{healthy.snapshot()}
	beside := summarize(journeys(all[:first], posts[:first], arrivals))
	retrying := summarize(journeys(all[first:], posts[first:], arrivals))
	lost := count(ids(all), arrivals)
	r.Lost += lost.Lost
	r.Duplicated += lost.Duplicated
	r.Tables = append(r.Tables, table{
		Title: "the healthy receiver", Header: []string{"while", "p50 ms", "p95 ms", "p99 ms"},
		Rows: [][]string{
			latencyRow("alone", r.PublishToReceive),
			latencyRow(fmt.Sprintf("%d events hang", victims), beside),
			latencyRow("they are retried", retrying),
		},
	})
	hung := s.receiver.at("/hang")
	b.say("the hanging receiver saw %d events, at most %d at once", hung.distinct.Load(), hung.most.Load())
	r.ratio("p99 beside a hanging receiver, to that alone", ratio(beside.P99, r.PublishToReceive.P99))
	r.ratio("p99 while the other's are retried, to that alone", ratio(retrying.P99, r.PublishToReceive.P99))
	r.atMost("p99 beside a hanging receiver, to that alone", ratio(beside.P99, r.PublishToReceive.P99), 2)
	r.atMost("p99 while the other's are retried, to that alone", ratio(retrying.P99, r.PublishToReceive.P99), 2)
	r.complete()
	return nil
}

func latencyRow(name string, l latencies) []string {
	return []string{name, number(l.P50), number(l.P95), number(l.P99)}
}
