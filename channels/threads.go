package channels

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// Threads remembers where channels put the messages of a topic, so that what
// follows goes to the same place.
type Threads interface {
	// FindThread returns what a channel kept of a topic of a subscription; nil
	// when there is nothing.
	FindThread(ctx context.Context, subscription, topic string) (json.RawMessage, error)
	// KeepThread keeps what FindThread is to return from now on, without secrets.
	// Of a subscription that was deleted it keeps nothing.
	KeepThread(ctx context.Context, subscription, topic string, thread json.RawMessage, now time.Time) error
}

// turns lets one at a time do something under a key: two messages of one topic
// that are sent at once would each find no thread, and begin one.
type turns struct {
	mu    sync.Mutex
	taken map[string]*turn
}

type turn struct {
	free    chan struct{} // holds something while nobody has it
	waiting int           // how many have it, or wait for it
}

// take waits for the key's turn and returns what gives it back; false when ctx
// ended before.
func (t *turns) take(ctx context.Context, key string) (release func(), ok bool) {
	t.mu.Lock()
	if t.taken == nil {
		t.taken = map[string]*turn{}
	}
	mine := t.taken[key]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.taken[key] = mine
	}
	mine.waiting++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.waiting--; mine.waiting == 0 {
			delete(t.taken, key)
		}
	}
	select {
	case <-mine.free:
		return func() {
			mine.free <- struct{}{}
			leave()
		}, true
	case <-ctx.Done():
		leave()
		return nil, false
	}
}
