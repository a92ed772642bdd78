package activities

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/matching"
)

const (
	// cachedConditions bounds the compiled conditions that are kept for the next
	// subscription that has the same.
	cachedConditions = 1024
	// reloadTimeout ends a reload that a database keeps waiting.
	reloadTimeout = 30 * time.Second
	// fresh is how old what a first attempt knows of its subscription may be: on
	// a healthy path it is a few milliseconds; after a longer wait in a busy
	// worker one asks the database, for all.
	fresh = 200 * time.Millisecond
)

// snapshot is the subscriptions at one config version, ready to match. It never
// changes.
type snapshot struct {
	version int64
	index   *matching.Index
}

// entry is a subscription with its compiled condition.
type entry = matching.Subscription

// snapshots keeps the newest snapshot. Readers take it without a lock. One
// reload runs at a time, for those who need a newer one; the others go on.
type snapshots struct {
	store interface {
		Changes(ctx context.Context, since int64, known iter.Seq2[string, int64]) (carillon.Changes, error)
		ConfigVersion(ctx context.Context) (int64, error)
	}
	conditions *conditions.Cache
	now        func() time.Time

	current atomic.Pointer[snapshot]
	// confirmed is the newest version that the database was seen at.
	confirmed atomic.Pointer[confirmation]

	asking chan struct{} // one asks the database for its version

	mu      sync.Mutex
	loading *reload // the one under way
}

// reload is a load under way. err is set when done is closed.
type reload struct {
	done chan struct{}
	err  error
}

// confirmation says that the database was at a version at a time, or later.
type confirmation struct {
	version int64
	at      time.Time
}

// atLeast returns a snapshot that is at least as new as the config version.
func (s *snapshots) atLeast(ctx context.Context, version int64) (*snapshot, error) {
	// A reload that was under way may have begun too early. The next one begins
	// after this call, so that there is nothing newer to wait for; the database
	// is older than the version only when it was put back.
	for range 2 {
		if current := s.current.Load(); current != nil && current.version >= version {
			return current, nil
		}
		r := s.reload(ctx)
		select {
		case <-r.done:
			if r.err != nil {
				return nil, r.err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("load subscriptions: %w", ctx.Err())
		}
	}
	return s.current.Load(), nil
}

// reload returns the reload under way, or begins one. It is nobody's alone, so
// it outlives the one who began it.
func (s *snapshots) reload(ctx context.Context) *reload {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loading != nil {
		return s.loading
	}
	r := &reload{done: make(chan struct{})}
	s.loading = r
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadTimeout)
		defer cancel()
		r.err = s.load(ctx)
		s.mu.Lock()
		s.loading = nil
		s.mu.Unlock()
		close(r.done)
	}()
	return r
}

// load makes the next snapshot out of the current one and what changed since.
func (s *snapshots) load(ctx context.Context) error {
	last := s.current.Load()
	if last == nil {
		last = &snapshot{index: matching.NewIndex(nil)}
	}
	began := s.now()
	changes, err := s.store.Changes(ctx, last.version, func(yield func(string, int64) bool) {
		for sub := range last.index.All() {
			if !yield(sub.ID, sub.Version) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("load subscriptions: %w", err)
	}
	changed := make([]*entry, len(changes.Changed))
	for i, sub := range changes.Changed {
		known, _ := last.index.Get(sub.ID)
		changed[i] = matching.Prepare(sub, s.conditions, known).Carrying(channels.Carries(sub))
	}
	s.current.Store(&snapshot{version: changes.Version, index: last.index.With(changed, changes.Removed)})
	if changes.Version < last.version { // the database was put back: what was seen of it is no more
		s.confirmed.Store(nil)
	}
	s.confirm(changes.Version, began)
	return nil
}

// confirm notes that the database was at the version, at that time or later.
func (s *snapshots) confirm(version int64, at time.Time) {
	next := &confirmation{version: version, at: at}
	for {
		last := s.confirmed.Load()
		if last != nil && (version < last.version || version == last.version && !at.After(last.at)) {
			return
		}
		if s.confirmed.CompareAndSwap(last, next) {
			return
		}
	}
}

// latest returns a snapshot that has every change which the database has, or was
// seen to have within the time that counts as fresh.
func (s *snapshots) latest(ctx context.Context, version int64) (*snapshot, error) {
	seen := s.freshly()
	if seen == nil {
		// One asks for all who wait.
		select {
		case s.asking <- struct{}{}:
			defer func() { <-s.asking }()
		case <-ctx.Done():
			return nil, fmt.Errorf("read config version: %w", ctx.Err())
		}
		if seen = s.freshly(); seen == nil {
			began := s.now()
			now, err := s.store.ConfigVersion(ctx)
			if err != nil {
				return nil, err
			}
			seen = &confirmation{version: now, at: began}
			s.confirm(now, began)
		}
	}
	return s.atLeast(ctx, max(version, seen.version))
}

// freshly returns what the database was seen at lately; nil when that is too
// long ago.
func (s *snapshots) freshly() *confirmation {
	if seen := s.confirmed.Load(); seen != nil && s.now().Sub(seen.at) <= fresh {
		return seen
	}
	return nil
}

// subscription returns the subscription of an attempt as it stands. A first
// try that follows its claim at once finds it in the snapshot: a database read
// for each delivery is what the healthy path can do without.
func (a *Activities) subscription(ctx context.Context, in AttemptInput) (carillon.Subscription, error) {
	if in.ConfigVersion > 0 {
		snap, err := a.snapshots.latest(ctx, in.ConfigVersion)
		if err != nil {
			return carillon.Subscription{}, err
		}
		if sub, ok := snap.index.Get(in.SubscriptionID); ok {
			return sub.Subscription, nil
		}
	}
	return a.store.Subscription(ctx, in.SubscriptionID)
}
