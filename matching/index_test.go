package matching_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/matching"
)

// pick returns one of the choices.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

var types = []string{
	"package.added", "package.listed", "package.unlisted", "package.status_changed", "package.", "package",
	"build.step.failed", "ping", "subscription.disabled", "delivery.exhausted", "a.b", "*", ".", "",
}

var patterns = []string{
	"*", "package.*", "package.added", "package.status_changed", "package.listed", "build.*", "build.step.*",
	"subscription.*", "subscription.disabled", "delivery.exhausted", "ping", "pack*", ".*", "a.b", "",
}

func randomScope(r *rand.Rand) map[string][]string {
	if r.IntN(3) == 0 {
		return nil
	}
	scope := map[string][]string{}
	for range r.IntN(3) {
		values := make([]string, r.IntN(3))
		for i := range values {
			values[i] = pick(r, "a", "b", "c", "shared")
		}
		scope[pick(r, "feed", "project", "product", "")] = values
	}
	return scope
}

func randomSubscription(r *rand.Rand, id string) carillon.Subscription {
	sub := carillon.Subscription{
		ID: id, Scope: randomScope(r), CreatedVersion: int64(5 + r.IntN(2)), IncludeCached: r.IntN(2) == 0,
		Condition: pick(r, "", "", "true", "false", "data.score > 7", "nonsense"),
		State:     pick(r, carillon.Enabled, carillon.Paused),
	}
	for range 1 + r.IntN(3) {
		sub.EventTypes = append(sub.EventTypes, pick(r, patterns...))
	}
	return sub
}

func randomEvent(t *testing.T, r *rand.Rand) *matching.Event {
	t.Helper()
	event := added(pick(r, `{}`, `{"cached":true}`, `{"score":9}`, `{"subscription":"sub_1"}`))
	event.Type = pick(r, types...)
	event.Scope = map[string]string{}
	for range r.IntN(3) {
		event.Scope[pick(r, "feed", "project", "product", "")] = pick(r, "a", "b", "c", "shared")
	}
	return read(t, event, 5)
}

// matches returns the subscriptions among which the rules find a match, in
// order, and those without an answer.
func matches(t *testing.T, among []*matching.Subscription, e *matching.Event) []string {
	t.Helper()
	var out []string
	for _, s := range among {
		failed, err := s.Decide(t.Context(), e)
		if err != nil {
			out = append(out, s.ID+" has no answer")
		} else if failed == "" {
			out = append(out, s.ID)
		}
	}
	slices.Sort(out)
	return out
}

// What the index leaves out is what the rules refuse: for every event, the
// rules over the candidates say what the rules over all subscriptions say, also
// after many changes.
func TestTheIndexLeavesOutOnlyWhatTheRulesRefuse(t *testing.T) {
	t.Parallel()
	env := environment(t)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, seed))
			current := map[string]*matching.Subscription{}
			var all []*matching.Subscription
			for i := range r.IntN(200) {
				s := matching.Prepare(randomSubscription(r, "sub_"+strconv.Itoa(i)), env, nil)
				current[s.ID] = s
				all = append(all, s)
			}
			index := matching.NewIndex(all)
			found := 0
			for range 40 {
				for range 20 {
					e := randomEvent(t, r)
					candidates := index.Candidates(e)
					require.True(t, slices.IsSortedFunc(candidates, func(a, b *matching.Subscription) int {
						return cmpStrictly(a.ID, b.ID)
					}), "in order, and each once")
					all := slices.Collect(index.All())
					require.Len(t, all, len(current))
					want := matches(t, all, e)
					require.Equal(t, want, matches(t, candidates, e), "%s %v", e.Type, e.Scope)
					found += len(want)
				}
				index = change(r, index, current, env)
				for id, s := range current {
					got, ok := index.Get(id)
					require.True(t, ok)
					require.Same(t, s, got)
				}
			}
			require.Positive(t, found)
		})
	}
}

// cmpStrictly orders what is equal, too, as if it were the wrong way round.
func cmpStrictly(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// change makes, edits and removes some subscriptions, in the index and in
// current.
func change(r *rand.Rand, index *matching.Index, current map[string]*matching.Subscription, env matching.Compiler) *matching.Index {
	changed := map[string]*matching.Subscription{}
	gone := map[string]bool{}
	for range r.IntN(12) {
		id := "sub_" + strconv.Itoa(r.IntN(220))
		if r.IntN(3) == 0 {
			delete(changed, id)
			gone[id] = true
			delete(current, id)
			continue
		}
		s := matching.Prepare(randomSubscription(r, id), env, nil)
		delete(gone, id)
		changed[id], current[id] = s, s
	}
	var list []*matching.Subscription
	for _, s := range changed {
		list = append(list, s)
	}
	var removed []string
	for id := range gone {
		removed = append(removed, id)
	}
	return index.With(list, removed)
}

func TestPatternsAreThoseThatNameAType(t *testing.T) {
	t.Parallel()
	for _, eventType := range types {
		for _, pattern := range append(slices.Clone(types), patterns...) {
			require.Equal(t, carillon.MatchesType(pattern, eventType), slices.Contains(carillon.Patterns(eventType), pattern),
				"%q of %q", pattern, eventType)
		}
	}
}

// An index that was given out is as it was, whatever is made of it.
func TestAnIndexNeverChanges(t *testing.T) {
	t.Parallel()
	env := environment(t)
	prepare := func(id string) *matching.Subscription {
		return matching.Prepare(carillon.Subscription{ID: id, EventTypes: []string{"*"}}, env, nil)
	}
	e := read(t, added(`{}`), 5)
	first := matching.NewIndex([]*matching.Subscription{prepare("sub_a")})
	second := first.With([]*matching.Subscription{prepare("sub_b")}, []string{"sub_a"})
	third := second.With(nil, []string{"sub_b"})
	require.Equal(t, []string{"sub_a"}, matches(t, first.Candidates(e), e))
	require.Equal(t, []string{"sub_b"}, matches(t, second.Candidates(e), e))
	require.Empty(t, third.Candidates(e))
	_, ok := third.Get("sub_b")
	require.False(t, ok)
}

// Ten that match cost the same beside ten thousand that do not: nothing is
// allocated, because nothing is asked.
//
//nolint:paralleltest // allocations are counted in the whole process
func TestSubscriptionsThatAreNoCandidatesCostNothing(t *testing.T) {
	env := environment(t)
	var few, many []*matching.Subscription
	for i := range 10 {
		few = append(few, matching.Prepare(carillon.Subscription{
			ID: fmt.Sprint("sub_", i), EventTypes: []string{"package.*"}, Scope: map[string][]string{"feed": {"internal-utils"}},
		}, env, nil))
	}
	many = slices.Clone(few)
	for i := range 5000 {
		many = append(many, matching.Prepare(carillon.Subscription{
			ID: fmt.Sprint("sub_type_", i), EventTypes: []string{"build.*", "package.deleted"},
		}, env, nil), matching.Prepare(carillon.Subscription{
			ID: fmt.Sprint("sub_feed_", i), EventTypes: []string{"*"},
			Scope: map[string][]string{"feed": {"internal-utils"}, "project": {strconv.Itoa(i)}},
		}, env, nil))
	}
	e := read(t, added(`{}`), 5)
	small, large := matching.NewIndex(few), matching.NewIndex(many)
	require.Len(t, large.Candidates(e), 10)
	require.Equal(t, small.Candidates(e), large.Candidates(e))
	allocations := func(index *matching.Index) float64 {
		return testing.AllocsPerRun(100, func() { index.Candidates(e) })
	}
	require.InDelta(t, allocations(small), allocations(large), 0)
}

// Many subscriptions share a condition: it is asked once for an event.
func TestASharedConditionHasOneAnswerForAnEvent(t *testing.T) {
	t.Parallel()
	env := environment(t)
	first := matching.Prepare(carillon.Subscription{ID: "sub_1", EventTypes: []string{"*"}, Condition: "data.score > 7"}, env, nil)
	second := matching.Prepare(carillon.Subscription{ID: "sub_2", EventTypes: []string{"*"}, Condition: "data.score > 7"}, env, first)
	for data, want := range map[string][]string{
		`{"score":9}`: {"sub_1", "sub_2"}, `{"score":1}`: nil, `{}`: {"sub_1 has no answer", "sub_2 has no answer"},
	} {
		require.Equal(t, want, matches(t, []*matching.Subscription{first, second}, read(t, added(data), 5)), data)
	}
}
