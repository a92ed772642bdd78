package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/carillon-dev/carillon/client"
)

// matchingSubscriptions are those that each event is for.
const matchingSubscriptions = 10

// measureSubscriptions compares routing among many subscriptions with routing
// among few, where as many match; few come before and after many, so that a
// machine that gets slower does not look like routing that does.
func measureSubscriptions(ctx context.Context, b *bench) (*result, error) {
	many := b.of(10000, 3000)
	few, err := b.among(ctx, matchingSubscriptions)
	if err != nil {
		return nil, err
	}
	r, err := b.among(ctx, many)
	if err != nil {
		return nil, err
	}
	again, err := b.among(ctx, matchingSubscriptions)
	if err != nil {
		return nil, err
	}
	r.Lost += few.Lost + again.Lost
	r.Duplicated += few.Duplicated + again.Duplicated
	r.Tables = append(r.Tables, table{
		Title: "by subscriptions", Header: []string{"subscriptions", "delivered/s", "p50 ms", "p99 ms", "floor/s"},
		Rows: [][]string{few.among(matchingSubscriptions), r.among(many), again.among(matchingSubscriptions)},
	})
	// Each against the floor of its own server.
	slowed := ratio(ratio(r.Delivered, r.Floor), mean(ratio(few.Delivered, few.Floor), ratio(again.Delivered, again.Floor)))
	r.ratio("many to few", slowed)
	r.atLeast(fmt.Sprintf("deliveries with %d subscriptions, to those with %d", many, matchingSubscriptions), slowed, 0.9)
	r.complete()
	return r, nil
}

func (r *result) among(n int) []string {
	return []string{
		strconv.Itoa(n), whole(r.Delivered), number(r.PublishToReceive.P50), number(r.PublishToReceive.P99), whole(r.Floor),
	}
}

// among measures with n subscriptions, 10 of which match.
func (b *bench) among(ctx context.Context, n int) (*result, error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close(ctx)
	endpoints, err := s.fanOut(ctx, matchingSubscriptions)
	if err != nil {
		return nil, err
	}
	if err := s.strangers(ctx, n-matchingSubscriptions); err != nil {
		return nil, err
	}
	b.say("%d subscriptions", n)
	r := &result{Connections: fanout10.connections}
	before, _, err := s.floor(ctx, floorInFlight, b.floorTime())
	if err != nil {
		return nil, err
	}
	if err := fanout10.post(ctx, s, r, b.of(2000, 500), endpoints); err != nil {
		return nil, err
	}
	after, _, err := s.floor(ctx, floorInFlight, b.floorTime())
	if err != nil {
		return nil, err
	}
	r.Floor = mean(before, after)
	r.ratio("delivered to floor", ratio(r.Delivered, r.Floor))
	return r, nil
}

// strangers makes subscriptions that match none of the events: a third each by
// their type, their feed and their condition. The conditions are on the same
// feed, a few hundred at most, as no feed has thousands of its own.
func (s *stack) strangers(ctx context.Context, n int) error {
	const conditions = 100
	makers := load{connections: 8}
	return makers.each(ctx, n, func(ctx context.Context, i int) error {
		_, err := s.subscribe(ctx, fmt.Sprintf("feed-%d", i), "/stranger", func(sub *client.Subscription) {
			sub.Condition = `actor != "nobody"`
			switch {
			case i < conditions:
				sub.Scope["feed"] = []string{feed}
				sub.Condition = fmt.Sprintf("actor == %q", fmt.Sprintf("user-%d", i))
			case i%2 == 0:
				sub.EventTypes = []string{"package.deleted"}
			}
		})
		return err
	})
}
