package main

import "context"

const (
	// calmRate is a load at which nothing waits for anything: events a second.
	calmRate = 50
	// calmConnections are more than can be needed.
	calmConnections = 64
)

// measureLatency compares publish → received at a calm rate with the engine's
// start → done, one at a time.
func measureLatency(ctx context.Context, b *bench) (*result, error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close(ctx)
	endpoints, err := s.fanOut(ctx, 1)
	if err != nil {
		return nil, err
	}
	_, before, err := s.floor(ctx, 1, b.floorTime())
	if err != nil {
		return nil, err
	}
	r := &result{Connections: calmConnections}
	if err := s.steady(ctx, r, endpoints, calmRate, calmRate*b.of(30, 15)); err != nil {
		return nil, err
	}
	rate, after, err := s.floor(ctx, 1, b.floorTime())
	if err != nil {
		return nil, err
	}
	r.Floor = rate
	floor := summarize(append(before, after...))
	b.say("an empty run, one at a time: p50 %s ms, p99 %s ms", number(floor.P50), number(floor.P99))
	r.ratio("p50 to the floor's p50", ratio(r.PublishToReceive.P50, floor.P50))
	r.atMost("publish to receive p50, to the floor's start to done", ratio(r.PublishToReceive.P50, floor.P50), 1.5)
	r.atMost("p99, to its own p50", ratio(r.PublishToReceive.P99, r.PublishToReceive.P50), 5)
	r.complete()
	return r, nil
}

// steady posts n events at a rate, after a warm-up, and fills the result.
func (s *stack) steady(ctx context.Context, r *result, endpoints []*endpoint, rate float64, n int) error {
	l := s.load(calmConnections)
	defer l.close()
	if _, err := l.open(ctx, events("warm-up", feed, warmUp), calmRate); err != nil {
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
	posts, err := l.open(ctx, all, rate)
	if err != nil {
		return err
	}
	if err := await(ctx, warmUp+n, endpoints...); err != nil {
		return err
	}
	after, err := s.costs()
	if err != nil {
		return err
	}
	r.fill(all, posts, endpoints)
	r.Reposted = l.unanswered.Load()
	r.Carillon = newCost(before.carillon, after.carillon, n*len(endpoints))
	r.Temporal = newCost(before.temporal, after.temporal, n*len(endpoints))
	return nil
}
