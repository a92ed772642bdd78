package activities

import (
	"context"
	"fmt"
	"sync"

	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/matching"
)

// snapshot is the subscriptions at one config version, ready to match.
type snapshot struct {
	version int64
	entries []*entry // ordered by id
	byID    map[string]*entry
}

// entry is a subscription with its compiled condition.
type entry = matching.Subscription

// snapshots keeps the newest snapshot. One reload runs at a time; whoever waits
// for it takes its result when that is new enough.
type snapshots struct {
	mu      sync.Mutex
	current *snapshot
}

// atLeast returns a snapshot that is at least as new as the config version.
func (s *snapshots) atLeast(ctx context.Context, version int64, store Store, env *conditions.Environment) (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current.version >= version {
		return s.current, nil
	}
	newVersion, all, err := store.Subscriptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("load subscriptions: %w", err)
	}
	next := &snapshot{version: newVersion, byID: make(map[string]*entry, len(all))}
	for _, sub := range all {
		e := matching.Prepare(sub, env, s.known(sub.ID)).Carrying(channels.Carries(sub))
		next.entries = append(next.entries, e)
		next.byID[sub.ID] = e
	}
	s.current = next
	return next, nil
}

func (s *snapshots) known(id string) *entry {
	if s.current == nil {
		return nil
	}
	return s.current.byID[id]
}
