// Package receiver is a webhook receiver that answers as it is told and keeps
// what it got, for tests and for `carillon dev`.
//
// It knows HTTP, and nothing of Carillon. Its one invariant: a request is kept
// before it is answered, so that whoever saw the answer finds the request.
package receiver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limits of what is kept, for a receiver that runs for days.
const (
	maxBodyBytes = 1 << 20
	maxRequests  = 10_000 // a path; older ones are dropped
)

// Reply is one answer.
type Reply struct {
	// Status is the HTTP status; 0 means 200.
	Status int
	Header http.Header
	Body   string
	// Delay passes before the answer.
	Delay time.Duration
	// Hang, when not nil, keeps the answer back until it is closed, or the
	// client has gone.
	Hang <-chan struct{}
}

// Request is what came in.
type Request struct {
	Method string
	Path   string
	Query  string
	Header http.Header
	// Body holds at most 1 MiB.
	Body []byte
	At   time.Time
}

// Receiver is an [http.Handler]. Its zero value is not ready; use [New].
type Receiver struct {
	mu        sync.Mutex
	paths     map[string]*path
	onRequest func(Request)
	changed   chan struct{} // closed and replaced with each request
}

type path struct {
	replies  []Reply
	requests []Request
	total    int // with those dropped
}

// New makes a receiver that answers 200 to everything.
func New() *Receiver {
	return &Receiver{paths: map[string]*path{}, changed: make(chan struct{})}
}

// Script sets the replies to requests of a path: one a request, the last for
// ever. It replaces what was left of an earlier script.
func (r *Receiver) Script(at string, replies ...Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.path(at).replies = slices.Clone(replies)
}

// OnRequest calls f with each request from now on, before the answer.
func (r *Receiver) OnRequest(f func(Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onRequest = f
}

// Requests returns what came to the path so far, oldest first, at most the last
// 10,000.
func (r *Receiver) Requests(at string) []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.path(at).requests)
}

// Wait returns what came to the path once that is at least n requests. The
// error says how many came before ctx ended.
func (r *Receiver) Wait(ctx context.Context, at string, n int) ([]Request, error) {
	for {
		r.mu.Lock()
		p, changed := r.path(at), r.changed
		total, requests := p.total, slices.Clone(p.requests)
		r.mu.Unlock()
		if total >= n {
			return requests, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return requests, fmt.Errorf("wait for %d requests to %s, got %d: %w", n, at, total, ctx.Err())
		}
	}
}

// ServeHTTP keeps the request and gives the next reply of its path.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var body bytes.Buffer
	// A body that breaks off is kept as far as it came.
	_, _ = io.Copy(&body, io.LimitReader(req.Body, maxBodyBytes))
	reply := r.keep(Request{
		Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery,
		Header: req.Header.Clone(), Body: body.Bytes(), At: time.Now(),
	})
	if !reply.wait(req.Context()) {
		return
	}
	for name, values := range reply.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	if reply.Status != 0 {
		w.WriteHeader(reply.Status)
	}
	_, _ = io.WriteString(w, reply.Body) // the client may have gone
}

// wait reports false when the client has gone.
func (reply Reply) wait(ctx context.Context) bool {
	if reply.Hang != nil {
		select {
		case <-reply.Hang:
		case <-ctx.Done():
			return false
		}
	}
	if reply.Delay > 0 {
		timer := time.NewTimer(reply.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (r *Receiver) keep(request Request) Reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.path(request.Path)
	var reply Reply
	if len(p.replies) > 0 {
		reply = p.replies[0]
	}
	if len(p.replies) > 1 {
		p.replies = p.replies[1:]
	}
	p.total++
	p.requests = append(p.requests, request)
	if len(p.requests) > maxRequests {
		p.requests = slices.Delete(p.requests, 0, len(p.requests)-maxRequests)
	}
	if r.onRequest != nil {
		r.onRequest(request)
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return reply
}

func (r *Receiver) path(at string) *path {
	p, ok := r.paths[at]
	if !ok {
		p = &path{}
		r.paths[at] = p
	}
	return p
}
