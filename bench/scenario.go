package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// scenario is one thing to measure.
type scenario struct {
	name, about string
	run         func(context.Context, *bench) (*result, error)
}

// bench is what a scenario needs to know.
type bench struct {
	bin, postgres string
	profiles      string // folder of profiles; empty takes none
	full          bool
	log           io.Writer
}

// all scenarios, in the order that they run in.
func allScenarios() []scenario {
	return []scenario{
		{"single", "one run an event, 1 subscriber, 64 connections", single.measure},
		{"fanout10", "one run an event, 10 subscribers, 64 connections", fanout10.measure},
		{"batch", "batches of 100, 1 subscriber", batch.measure},
		{"group", "group commit, 1 subscriber, 256 connections", group.measure},
		{"group10", "group commit, 10 subscribers, 256 connections", group10.measure},
		{"latency", "50 events/s, 1 subscriber, against empty runs one at a time", measureLatency},
		{"subscriptions", "10 subscriptions match, of 10 and of many more", measureSubscriptions},
		{"hang", "a receiver that hangs, beside a healthy one at 50 events/s", measureHang},
		{"refuse", "a receiver that refuses connections, and then comes back", measureRefuse},
		{"crash", "SIGKILL of carillon and of Temporal in the middle of posts", measureCrash},
		{"soak", "the memory of carillon over many events", measureSoak},
		{"fanout", "picture: throughput against fan-out", measureFanout},
		{"load", "picture: latency under load", measureLoad},
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range allScenarios() {
		names = append(names, s.name)
	}
	return names
}

// choose returns the scenarios that are named.
func choose(names string) ([]scenario, error) {
	if names == "all" {
		return allScenarios(), nil
	}
	var chosen []scenario
next:
	for name := range strings.SplitSeq(names, ",") {
		for _, s := range allScenarios() {
			if s.name == name {
				chosen = append(chosen, s)
				continue next
			}
		}
		return nil, fmt.Errorf("-scenario %q: allowed are all, %s", name, strings.Join(scenarioNames(), ", "))
	}
	return chosen, nil
}

// leftOutError is the error of a scenario that the binaries cannot do.
type leftOutError struct{ why string }

func (l *leftOutError) Error() string { return l.why }

// of returns the count of the full profile, or that of the short one.
func (b *bench) of(full, short int) int {
	if b.full {
		return full
	}
	return short
}

// lasting is [bench.of] of seconds.
func (b *bench) lasting(full, short int) time.Duration {
	return time.Duration(b.of(full, short)) * time.Second
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, "  … "+format+"\n", args...) }

// floorTime is how long one measurement of the floor lasts.
func (b *bench) floorTime() time.Duration { return b.lasting(5, 3) }

// groupCommit turns shared runs for single posts on.
const groupCommit = "CARILLON_GROUP_COMMIT=on"

// start starts a stack for one scenario.
func (b *bench) start(ctx context.Context, env ...string) (*stack, error) {
	s, err := b.newStack(ctx, env...)
	if err != nil && len(env) > 0 && strings.Contains(err.Error(), "CARILLON_GROUP_COMMIT") {
		return nil, &leftOutError{"this carillon knows no CARILLON_GROUP_COMMIT"}
	}
	return s, err
}

// unknownRoute makes a 404 of a route that the binary does not have one that
// the scenario is left out for.
func unknownRoute(err error, route string) error {
	r, ok := errors.AsType[*rejectedError](err)
	if ok && (r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed) {
		return &leftOutError{fmt.Sprintf("this carillon has no %s: it answers HTTP %d", route, r.status)}
	}
	return err
}

// costs are what both programs took, since they were last asked.
type costs struct{ carillon, temporal usage }

func (s *stack) costs() (c costs, err error) {
	if c.carillon, err = s.carillon.usage(); err != nil {
		return c, err
	}
	c.temporal, err = s.server.usage()
	return c, err
}
