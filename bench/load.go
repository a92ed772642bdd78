package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// postTimeout is above the two starts of 3 s that a post may take.
	postTimeout = 15 * time.Second
	// repostDelay is how long a producer waits that got no answer, or 503.
	repostDelay = 100 * time.Millisecond
)

// load posts events to a Carillon, as producers do: what is not acknowledged
// is posted again under the same id.
type load struct {
	url, key    string
	http        *http.Client
	connections int
	// unanswered counts the posts that were made again.
	unanswered atomic.Int64
}

func newLoad(url, key string, connections int) *load {
	return &load{url: url, key: key, connections: connections, http: &http.Client{
		Timeout:   postTimeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections},
	}}
}

// close ends the connections.
func (l *load) close() { l.http.CloseIdleConnections() }

// posted are an event's post and its acknowledgement; at a fixed rate, sent is
// when its turn was, whether or not a connection was free.
type posted struct{ sent, acked time.Time }

// rejectedError is an answer that posting again does not change.
type rejectedError struct {
	status int
	body   string
}

func (r *rejectedError) Error() string {
	return fmt.Sprintf("post an event: HTTP %d: %s", r.status, r.body)
}

// closed posts the events over all connections, each posting its next once the
// last was acknowledged.
func (l *load) closed(ctx context.Context, all []event) ([]posted, error) {
	results := make([]posted, len(all))
	return results, l.each(ctx, len(all), func(ctx context.Context, i int) error {
		results[i].sent = time.Now()
		err := l.post(ctx, "/v1/events", all[i].body())
		results[i].acked = time.Now()
		return err
	})
}

// batches posts the events, size in each request.
func (l *load) batches(ctx context.Context, all []event, size int) ([]posted, error) {
	results := make([]posted, len(all))
	n := (len(all) + size - 1) / size
	return results, l.each(ctx, n, func(ctx context.Context, i int) error {
		from, to := i*size, min((i+1)*size, len(all))
		body := []byte(`{"events":[`)
		for k, e := range all[from:to] {
			if k > 0 {
				body = append(body, ',')
			}
			body = append(body, e.body()...)
		}
		sent := time.Now()
		err := l.post(ctx, "/v1/events/batch", append(body, "]}"...))
		for k := from; k < to; k++ {
			results[k] = posted{sent, time.Now()}
		}
		return err
	})
}

// open posts the events at a fixed rate a second, as producers do who do not
// wait for each other.
func (l *load) open(ctx context.Context, all []event, rate float64) ([]posted, error) {
	results := make([]posted, len(all))
	begin := time.Now()
	return results, l.each(ctx, len(all), func(ctx context.Context, i int) error {
		results[i].sent = begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if err := pause(ctx, time.Until(results[i].sent)); err != nil {
			return err
		}
		err := l.post(ctx, "/v1/events", all[i].body())
		results[i].acked = time.Now()
		return err
	})
}

// each calls work for 0 to n-1 on all connections, in that order, until one
// fails.
func (l *load) each(ctx context.Context, n int, work func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for range l.connections {
		running.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := work(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// post posts until it is acknowledged.
func (l *load) post(ctx context.Context, path string, body []byte) error {
	for {
		status, answer, err := l.try(ctx, path, body)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && status == http.StatusAccepted:
			return nil
		case err == nil && status < http.StatusInternalServerError:
			return &rejectedError{status, answer}
		}
		l.unanswered.Add(1)
		if err := pause(ctx, repostDelay); err != nil {
			return err
		}
	}
}

func (l *load) try(ctx context.Context, path string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+l.key)
	resp, err := l.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}
