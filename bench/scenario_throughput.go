package main

import (
	"context"
	"fmt"
	"time"
)

// throughput is a scenario that posts as fast as it is let, and what it is to
// come to, as multiples of the engine's floor.
type throughput struct {
	env         []string
	connections int
	subscribers int
	full, short int // events
	batch       int // events in a request; 0 posts each alone
	// wantEvents and wantDeliveries are thresholds of events and of deliveries
	// a second; 0 is none.
	wantEvents, wantDeliveries float64
	relay                      bool
}

var (
	single   = throughput{connections: 64, subscribers: 1, full: 5000, short: 1500, wantEvents: 0.85, relay: true}
	fanout10 = throughput{connections: 64, subscribers: 10, full: 3000, short: 800, wantEvents: 0.7, wantDeliveries: 7}
	batch    = throughput{connections: 16, subscribers: 1, full: 20000, short: 10000, batch: 100, wantDeliveries: 24}
	group    = throughput{env: []string{groupCommit}, connections: 256, subscribers: 1, full: 20000, short: 10000, wantDeliveries: 24}
	group10  = throughput{env: []string{groupCommit}, connections: 256, subscribers: 10, full: 2000, short: 1000, wantDeliveries: 40}
)

const (
	// floorInFlight is how many empty runs are in flight: as many as single
	// posts are.
	floorInFlight = 64
	// warmUp are events that are not counted: they open connections, fill
	// caches and compile statements.
	warmUp = 200
	// relayed events are enough of a relay that keeps nothing.
	relayed = 20000
)

// measure is the scenario.
func (t throughput) measure(ctx context.Context, b *bench) (*result, error) {
	s, err := b.start(ctx, t.env...)
	if err != nil {
		return nil, err
	}
	defer s.close(ctx)
	endpoints, err := s.fanOut(ctx, t.subscribers)
	if err != nil {
		return nil, err
	}
	r := &result{Connections: t.connections}
	before, _, err := s.floor(ctx, floorInFlight, b.floorTime())
	if err != nil {
		return nil, err
	}
	if err := t.post(ctx, s, r, b.of(t.full, t.short), endpoints); err != nil {
		return nil, err
	}
	after, _, err := s.floor(ctx, floorInFlight, b.floorTime())
	if err != nil {
		return nil, err
	}
	b.say("floor before %.0f/s, after %.0f/s", before, after)
	r.Floor = mean(before, after)
	if t.relay {
		if r.Relay, err = s.relay(ctx, t.connections, relayed); err != nil {
			return nil, err
		}
	}
	t.judge(r)
	return r, nil
}

// post posts the events and waits for their deliveries.
func (t throughput) post(ctx context.Context, s *stack, r *result, n int, endpoints []*endpoint) error {
	l := s.load(t.connections)
	defer l.close()
	send := l.closed
	if t.batch > 0 {
		send = func(ctx context.Context, all []event) ([]posted, error) {
			posts, err := l.batches(ctx, all, t.batch)
			return posts, unknownRoute(err, "POST /v1/events/batch")
		}
	}
	if _, err := send(ctx, events("warm-up", feed, warmUp)); err != nil {
		return err
	}
	if err := await(ctx, warmUp, endpoints...); err != nil {
		return err
	}
	before, err := s.costs()
	if err != nil {
		return err
	}
	all := events("counted", feed, n)
	var posts []posted
	err = s.profiles(ctx, fmt.Sprintf("%dx%d", t.connections, len(endpoints)), func() (err error) {
		if posts, err = send(ctx, all); err != nil {
			return err
		}
		return await(ctx, warmUp+n, endpoints...)
	})
	if err != nil {
		return err
	}
	// The runs end shortly after their deliveries.
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	after, err := s.costs()
	if err != nil {
		return err
	}
	r.fill(all, posts, endpoints)
	r.Reposted = l.unanswered.Load()
	deliveries := n*len(endpoints) - r.Lost
	r.Carillon = newCost(before.carillon, after.carillon, deliveries)
	r.Temporal = newCost(before.temporal, after.temporal, deliveries)
	return nil
}

// judge compares with the floor.
func (t throughput) judge(r *result) {
	eventsRatio := ratio(r.Delivered/float64(t.subscribers), r.Floor)
	r.ratio("delivered to floor", ratio(r.Delivered, r.Floor))
	if t.subscribers > 1 {
		r.ratio("events to floor", eventsRatio)
	}
	if t.wantEvents > 0 {
		r.atLeast("events delivered, to the engine's floor", eventsRatio, t.wantEvents)
	}
	if t.wantDeliveries > 0 {
		r.atLeast("deliveries, to the engine's floor", ratio(r.Delivered, r.Floor), t.wantDeliveries)
	}
	r.complete()
}
