package main_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/matching"
)

// BenchmarkRouting finds the ten subscriptions that an event concerns: alone,
// and among ten thousand that it does not concern, by what tells them apart.
// Others of its own type and feed are told apart by their condition only: a
// shared one is asked once, and one of each subscription's own each time.
func BenchmarkRouting(b *testing.B) {
	env, err := conditions.New()
	require.NoError(b, err)
	cache := conditions.NewCache(env, 1024)
	const condition = `pkg.name.startsWith("MyCorp.") && pkg.type == "nuget"`
	subscription := func(i int, pattern, feed, condition string) *matching.Subscription {
		return matching.Prepare(carillon.Subscription{
			ID: fmt.Sprintf("sub_%05d", i), EventTypes: []string{pattern}, Scope: map[string][]string{"feed": {feed}},
			Condition: condition,
		}, cache, nil)
	}
	for _, bench := range []struct {
		name  string
		other func(i int) *matching.Subscription
	}{
		{"of 10", nil},
		{"of 10,000, others of other types", func(i int) *matching.Subscription {
			return subscription(i, fmt.Sprintf("build%d.*", i%50), "internal-utils", condition)
		}},
		{"of 10,000, others of other feeds", func(i int) *matching.Subscription {
			return subscription(i, "package.*", fmt.Sprint("feed-", i), condition)
		}},
		{"of 10,000, others with one other condition", func(i int) *matching.Subscription {
			return subscription(i, "package.*", "internal-utils", `pkg.type == "npm"`)
		}},
		{"of 10,000, others with a condition each", func(i int) *matching.Subscription {
			return subscription(i, "package.*", "internal-utils", fmt.Sprintf(`pkg.name == "Package%d"`, i))
		}},
	} {
		var all []*matching.Subscription
		for i := range 10 {
			all = append(all, subscription(i, "package.*", "internal-utils", condition))
		}
		for i := 10; bench.other != nil && i < 10_000; i++ {
			all = append(all, bench.other(i))
		}
		index := matching.NewIndex(all)
		pub := &carillon.Publication{Event: event()}
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := matching.Read(pub)
				require.NoError(b, err)
				matched := 0
				for _, sub := range index.Candidates(e) {
					if failed, err := sub.Decide(b.Context(), e); err == nil && failed == "" {
						matched++
					}
				}
				if matched != 10 {
					b.Fatalf("matched %d of 10", matched)
				}
			}
		})
	}
}

// BenchmarkIndex makes the index of ten thousand subscriptions, and changes one
// of them.
func BenchmarkIndex(b *testing.B) {
	env, err := conditions.New()
	require.NoError(b, err)
	all := make([]*matching.Subscription, 10_000)
	for i := range all {
		all[i] = matching.Prepare(carillon.Subscription{
			ID: fmt.Sprintf("sub_%05d", i), EventTypes: []string{"package.*", "build.*"},
			Scope: map[string][]string{"feed": {fmt.Sprint("feed-", i%100)}, "project": {strconv.Itoa(i)}},
		}, env, nil)
	}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			matching.NewIndex(all)
		}
	})
	b.Run("change one", func(b *testing.B) {
		index := matching.NewIndex(all)
		for i := 0; b.Loop(); i++ {
			index = index.With(all[i%len(all):i%len(all)+1], nil)
		}
	})
}
