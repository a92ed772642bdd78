package workflows

import (
	"context"
	"sync"

	"github.com/carillon-dev/carillon"
)

// recentEvents bounds the memory of events that were accepted lately.
const recentEvents = 10_000

// recent remembers the events that this process accepted, until their rows can
// be read: the workflow id of a shared run does not tell them apart.
type recent struct {
	mu     sync.Mutex
	owners map[string]carillon.EventOwner
	order  []string // a ring of their ids
	next   int
}

func (r *recent) get(id string) (carillon.EventOwner, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	owner, ok := r.owners[id]
	return owner, ok
}

func (r *recent) add(id string, owner carillon.EventOwner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owners == nil {
		r.owners = make(map[string]carillon.EventOwner, recentEvents)
		r.order = make([]string, recentEvents)
	}
	if _, known := r.owners[id]; known {
		return
	}
	delete(r.owners, r.order[r.next])
	r.order[r.next] = id
	r.next = (r.next + 1) % recentEvents
	r.owners[id] = owner
}

// turns lets the posts of one event follow one another, so that each sees what
// became of the one before.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// take waits until none of the events is being published, and takes them all.
// Its error is [carillon.CodeUnavailable] when that takes too long.
func (t *turns) take(ctx context.Context, ids []string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, startTries*startTimeout)
	defer cancel()
	for {
		ended := make(chan struct{})
		before := t.mark(ids, ended)
		if before == nil {
			return func() { t.release(ids, ended) }, nil
		}
		select {
		case <-before:
		case <-ctx.Done():
			return nil, unavailable("an earlier post of the same event has no answer yet", ctx.Err())
		}
	}
}

// taken reports whether an event is being published.
func (t *turns) taken(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, busy := t.busy[id]
	return busy
}

// mark takes the events, or returns what ends when one of them is free.
func (t *turns) mark(ids []string, ended chan struct{}) (before <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy == nil {
		t.busy = map[string]chan struct{}{}
	}
	for _, id := range ids {
		if taken, ok := t.busy[id]; ok {
			return taken
		}
	}
	for _, id := range ids {
		t.busy[id] = ended
	}
	return nil
}

func (t *turns) release(ids []string, ended chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		delete(t.busy, id)
	}
	close(ended)
}
