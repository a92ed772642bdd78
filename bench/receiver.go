package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// arrival is what a receiver knows of an event.
type arrival struct {
	First time.Time
	Count int
}

// endpoint is one path of a receiver.
type endpoint struct {
	mu       sync.Mutex
	arrivals map[string]arrival
	// times are those of all arrivals, repeated ones too.
	times []time.Time

	distinct atomic.Int64
	inFlight atomic.Int64
	most     atomic.Int64 // in flight at once
	hang     atomic.Int64 // nanoseconds before the answer
}

// receiver takes webhooks and remembers when each event first came, and how
// often. It can be shut and opened again on its port.
type receiver struct {
	address string

	mu        sync.Mutex
	endpoints map[string]*endpoint
	server    *http.Server
}

// openReceiver starts a receiver on a free port.
func openReceiver(ctx context.Context) (*receiver, error) {
	r := &receiver{address: "127.0.0.1:0", endpoints: map[string]*endpoint{}}
	return r, r.open(ctx)
}

// open listens; while shut, connections are refused.
func (r *receiver) open(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.address)
	if err != nil {
		return fmt.Errorf("open a receiver: %w", err)
	}
	r.address = listener.Addr().String()
	server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	r.server = server
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a listener on loopback does not fail
		}
	}()
	return nil
}

func (r *receiver) shut() { _ = r.server.Close() }

// url is the address of a path.
func (r *receiver) url(path string) string { return "http://" + r.address + path }

// at returns the endpoint of a path.
func (r *receiver) at(path string) *endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.endpoints[path]
	if e == nil {
		e = &endpoint{arrivals: map[string]arrival{}}
		r.endpoints[path] = e
	}
	return e
}

// ServeHTTP remembers the event before it answers, 204 in the end.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e := r.at(req.URL.Path)
	e.enter()
	defer e.inFlight.Add(-1)
	_, _ = io.Copy(io.Discard, req.Body)
	e.take(req.Header.Get("webhook-id"), time.Now())
	if hang := e.hang.Load(); hang > 0 {
		select {
		case <-time.After(time.Duration(hang)):
		case <-req.Context().Done():
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// enter counts a request as under way.
func (e *endpoint) enter() {
	now := e.inFlight.Add(1)
	for {
		most := e.most.Load()
		if now <= most || e.most.CompareAndSwap(most, now) {
			return
		}
	}
}

func (e *endpoint) take(id string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, known := e.arrivals[id]
	if !known {
		a.First = now
		e.distinct.Add(1)
	}
	a.Count++
	e.arrivals[id] = a
	e.times = append(e.times, now)
}

// snapshot returns a copy of what arrived.
func (e *endpoint) snapshot() map[string]arrival {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.arrivals)
}

// perSecond counts the arrivals in each second after the instant.
func (e *endpoint) perSecond(since time.Time) []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	var counts []int
	for _, at := range e.times {
		if at.Before(since) {
			continue
		}
		second := int(at.Sub(since) / time.Second)
		counts = append(counts, make([]int, max(0, second+1-len(counts)))...)
		counts[second]++
	}
	return counts
}

const (
	// pollInterval is how often something of this machine is looked at.
	pollInterval = 10 * time.Millisecond
	// stall is how long nothing may arrive before waiting is given up: above
	// the 60 s after which Temporal hands a lost task to another worker.
	stall = 100 * time.Second
)

// await waits until every endpoint has n events, or nothing has come for a
// while, which is no error: what is missing is counted as lost.
func await(ctx context.Context, n int, endpoints ...*endpoint) error {
	seen, since := int64(-1), time.Now()
	for {
		total, done := int64(0), true
		for _, e := range endpoints {
			got := e.distinct.Load()
			total += got
			done = done && got >= int64(n)
		}
		if total > seen {
			seen, since = total, time.Now()
		}
		if done || time.Since(since) > stall {
			return nil
		}
		if err := pause(ctx, pollInterval); err != nil {
			return err
		}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// last is when the last event first came to any of the endpoints.
func last(endpoints []map[string]arrival) time.Time {
	var latest time.Time
	for _, arrivals := range endpoints {
		for a := range maps.Values(arrivals) {
			if a.First.After(latest) {
				latest = a.First
			}
		}
	}
	return latest
}

// snapshots of several endpoints.
func snapshots(endpoints []*endpoint) []map[string]arrival {
	all := make([]map[string]arrival, 0, len(endpoints))
	for e := range slices.Values(endpoints) {
		all = append(all, e.snapshot())
	}
	return all
}
