package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	temporal "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const (
	// floorQueue is the task queue of the empty runs, which no other worker polls.
	floorQueue = "bench-floor"
	// floorPollers and floorCache are those of Carillon's worker.
	floorPollers = 8
	floorCache   = 2000
	// floorWarmUp is not counted.
	floorWarmUp = 500 * time.Millisecond
	// floorTail is how long the last runs may take.
	floorTail = 5 * time.Second
)

// empty is a run that does nothing: what the engine itself costs.
func empty(workflow.Context) error { return nil }

// floor measures the engine by empty runs, so many in flight at once, each
// started eagerly through the client that also works it. A run is done when the
// server has acknowledged its completion.
type floor struct {
	mu sync.Mutex
	// free has a token for each run that may be started.
	free chan struct{}
	// begin is the end of the warm-up; done counts from there.
	begin time.Time
	done  int
	// started is when the only run in flight was started; where there is but
	// one, took is how long each took.
	started time.Time
	took    []time.Duration
}

// floor returns the runs done a second and, with one in flight, how long each
// took.
func (s *stack) floor(ctx context.Context, inFlight int, d time.Duration) (perSecond float64, took []time.Duration, err error) {
	worker.SetStickyWorkflowCacheSize(floorCache)
	f := &floor{free: make(chan struct{}, inFlight), begin: time.Now().Add(floorWarmUp)}
	for range inFlight {
		f.free <- struct{}{}
	}
	completed := f.complete
	s.completed.Store(&completed)
	defer s.completed.Store(nil)
	w := worker.New(s.client, floorQueue, worker.Options{
		MaxConcurrentWorkflowTaskPollers: floorPollers, MaxConcurrentActivityTaskPollers: floorPollers,
	})
	w.RegisterWorkflow(empty)
	if err := w.Start(); err != nil {
		return 0, nil, fmt.Errorf("start the floor's worker: %w", err)
	}
	defer w.Stop()
	end := f.begin.Add(d)
	starters := load{connections: inFlight}
	if err := starters.each(ctx, inFlight, func(ctx context.Context, _ int) error {
		return f.start(ctx, end, s.client)
	}); err != nil {
		return 0, nil, err
	}
	f.mu.Lock()
	perSecond, took = float64(f.done)/time.Since(f.begin).Seconds(), f.took
	f.mu.Unlock()
	return perSecond, took, f.finish(ctx, inFlight)
}

// start starts runs until the end.
func (f *floor) start(ctx context.Context, end time.Time, c temporal.Client) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(end)):
			return nil
		case <-f.free:
		}
		if time.Now().After(end) {
			f.free <- struct{}{}
			return nil
		}
		f.mu.Lock()
		f.started = time.Now()
		f.mu.Unlock()
		_, err := c.ExecuteWorkflow(ctx, temporal.StartWorkflowOptions{
			TaskQueue: floorQueue, EnableEagerStart: true, WorkflowTaskTimeout: time.Minute,
		}, empty)
		if err != nil {
			return fmt.Errorf("start an empty run: %w", err)
		}
	}
}

func (f *floor) complete() {
	now := time.Now()
	f.mu.Lock()
	if now.After(f.begin) {
		f.done++
		if cap(f.free) == 1 {
			f.took = append(f.took, now.Sub(f.started))
		}
	}
	f.mu.Unlock()
	select {
	case f.free <- struct{}{}:
	default: // a task that was answered twice
	}
}

// finish waits for the runs under way.
func (f *floor) finish(ctx context.Context, inFlight int) error {
	ctx, cancel := context.WithTimeout(ctx, floorTail)
	defer cancel()
	for range inFlight {
		select {
		case <-f.free:
		case <-ctx.Done():
			return fmt.Errorf("empty runs did not end: %w", ctx.Err())
		}
	}
	return nil
}
