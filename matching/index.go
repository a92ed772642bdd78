package matching

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"slices"

	"github.com/carillon-dev/carillon"
)

// Index finds the subscriptions that an event can concern, without a look at
// the others. It says who is to be asked, and the rules say who matches: what
// it leaves out fails the rule of the type or that of the scope.
//
// An index never changes. [Index.With] makes the next one out of it, so that
// any number of readers go on with the one they have.
type Index struct {
	base *base
	// changed holds the subscriptions that are not as the base has them; nil is
	// one that is gone. They are few, and all are candidates of every event.
	changed map[string]*Subscription
}

// maxChanged is the most that stands beside a base before a new one is made:
// asking so many the two cheap rules takes a microsecond, and a new base takes
// milliseconds where there are ten thousand.
const maxChanged = 64

// base finds subscriptions by one of their patterns, and one key of their scope.
type base struct {
	byID      map[string]*Subscription
	byPattern map[string]*places
}

// places are the subscriptions with a pattern.
type places struct {
	anywhere []*Subscription // ask for no scope
	scoped   map[place][]*Subscription
}

// place is a key and a value of a scope.
type place struct{ key, value string }

// NewIndex returns an index of the subscriptions, each of which has an id of
// its own.
func NewIndex(subscriptions []*Subscription) *Index {
	b := &base{
		byID:      make(map[string]*Subscription, len(subscriptions)),
		byPattern: make(map[string]*places),
	}
	crowds := make(map[place]int)
	// In order here, they are found in order.
	subscriptions = slices.SortedFunc(slices.Values(subscriptions), byID)
	for _, s := range subscriptions {
		b.byID[s.ID] = s
		for key, values := range s.Scope {
			for _, value := range values {
				crowds[place{key, value}]++
			}
		}
	}
	for _, s := range subscriptions {
		for _, pattern := range s.EventTypes {
			at := b.byPattern[pattern]
			if at == nil {
				at = &places{scoped: make(map[place][]*Subscription)}
				b.byPattern[pattern] = at
			}
			at.add(s, crowds)
		}
	}
	return &Index{base: b}
}

// add puts the subscription where an event that has its scope looks: at the
// values of one key, the one whose values it shares with the fewest others.
func (p *places) add(s *Subscription, crowds map[place]int) {
	if len(s.Scope) == 0 {
		p.anywhere = append(p.anywhere, s)
		return
	}
	chosen, fewest := "", math.MaxInt
	for key, values := range s.Scope {
		crowd := 0
		for _, value := range values {
			crowd = max(crowd, crowds[place{key, value}])
		}
		if crowd < fewest {
			chosen, fewest = key, crowd
		}
	}
	for _, value := range s.Scope[chosen] {
		at := place{chosen, value}
		p.scoped[at] = append(p.scoped[at], s)
	}
}

// With returns an index in which the given subscriptions are as given, and
// those with the given ids are gone.
func (x *Index) With(changed []*Subscription, removed []string) *Index {
	next := &Index{base: x.base, changed: maps.Clone(x.changed)}
	if next.changed == nil {
		next.changed = make(map[string]*Subscription, len(changed)+len(removed))
	}
	for _, s := range changed {
		next.changed[s.ID] = s
	}
	for _, id := range removed {
		next.changed[id] = nil
	}
	if len(next.changed) <= maxChanged {
		return next
	}
	return NewIndex(slices.Collect(next.All()))
}

// Get returns the subscription with the id.
func (x *Index) Get(id string) (*Subscription, bool) {
	if s, ok := x.changed[id]; ok {
		return s, s != nil
	}
	s, ok := x.base.byID[id]
	return s, ok
}

// All yields the subscriptions in no particular order.
func (x *Index) All() iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		for id, s := range x.base.byID {
			if _, ok := x.changed[id]; !ok && !yield(s) {
				return
			}
		}
		for _, s := range x.changed {
			if s != nil && !yield(s) {
				return
			}
		}
	}
}

// Candidates returns the subscriptions that the event can concern, in the order
// of their ids. Which of them it does concern, [Subscription.Decide] says.
func (x *Index) Candidates(e *Event) []*Subscription {
	var found []*Subscription
	take := func(some []*Subscription) {
		for _, s := range some {
			if _, ok := x.changed[s.ID]; !ok {
				found = append(found, s)
			}
		}
	}
	for _, pattern := range carillon.Patterns(e.Type) {
		at, ok := x.base.byPattern[pattern]
		if !ok {
			continue
		}
		take(at.anywhere)
		if len(at.scoped) > 0 {
			for key, value := range e.Scope {
				take(at.scoped[place{key, value}])
			}
		}
	}
	for _, s := range x.changed {
		if s != nil {
			found = append(found, s)
		}
	}
	if !slices.IsSortedFunc(found, byID) {
		slices.SortFunc(found, byID)
	}
	return slices.Compact(found) // several patterns can name the type
}

func byID(a, b *Subscription) int { return cmp.Compare(a.ID, b.ID) }
