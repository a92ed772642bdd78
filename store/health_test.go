package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

// fails records attempts at a subscription that failed, each of a delivery of
// its own.
func fails(t *testing.T, s *store.Store, subscription, prefix string, n int) carillon.Health {
	t.Helper()
	var health carillon.Health
	for i := range n {
		id := fmt.Sprintf("evt_%s_%d", prefix, i)
		claim(t, s, newEvent(id), "run-"+id, subscription)
		out, err := s.Record(t.Context(), "run-"+id, []carillon.Delivery{failure(id, subscription, 1)})
		require.NoError(t, err)
		health = out.Health[subscription]
	}
	return health
}

func failure(event, subscription string, attempts int) carillon.Delivery {
	return carillon.Delivery{
		EventID: event, SubscriptionID: subscription, State: carillon.Retrying, Attempts: attempts,
		Outcome: carillon.OutcomeRetry, UpdatedAt: noon,
	}
}

func undrawn(d carillon.Duration) carillon.Duration { return d }

func opened(t *testing.T, s *store.Store, subscription string, at time.Time) carillon.Health {
	t.Helper()
	health, ok, err := s.OpenBreaker(t.Context(), subscription, at, undrawn)
	require.NoError(t, err)
	require.True(t, ok)
	return health
}

func healthOf(t *testing.T, s *store.Store, subscription string) carillon.Health {
	t.Helper()
	sub, err := s.Subscription(t.Context(), subscription)
	require.NoError(t, err)
	return sub.Health
}

func TestFailuresInARowAreCountedOncePerAttempt(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		create(t, s, newSubscription("sub_2"))
		require.Equal(t, carillon.Health{Failures: 3, FailingSince: noon}, fails(t, s, "sub_1", "a", 3))

		// A local activity of a crashed task runs again.
		again := failure("evt_a_2", "sub_1", 1)
		_, err := s.Record(t.Context(), "run-evt_a_2", []carillon.Delivery{again})
		require.NoError(t, err)
		require.Equal(t, 3, healthOf(t, s, "sub_1").Failures, "counted before")
		_, err = s.Record(t.Context(), "another run", []carillon.Delivery{failure("evt_a_2", "sub_1", 2)})
		require.NoError(t, err)
		require.Equal(t, 3, healthOf(t, s, "sub_1").Failures, "not its run's")
		again.Attempts, again.UpdatedAt = 2, noon.Add(time.Minute)
		_, err = s.Record(t.Context(), "run-evt_a_2", []carillon.Delivery{again})
		require.NoError(t, err)
		require.Equal(t, carillon.Health{Failures: 4, FailingSince: noon}, healthOf(t, s, "sub_1"))

		// A run with several deliveries counts for each of their subscriptions.
		claim(t, s, newEvent("evt_b"), "run-b", "sub_1", "sub_2")
		rejected := failure("evt_b", "sub_2", 1)
		rejected.Outcome = carillon.OutcomeReject
		out, err := s.Record(t.Context(), "run-b", []carillon.Delivery{failure("evt_b", "sub_1", 1), rejected})
		require.NoError(t, err)
		require.Equal(t, map[string]carillon.Health{"sub_1": {Failures: 5, FailingSince: noon}}, out.Health,
			"what can never be sent says nothing of the endpoint")

		troubled, err := s.InTrouble(t.Context())
		require.NoError(t, err)
		require.Equal(t, out.Health, troubled)
		counts, err := s.CountHealth(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[carillon.HealthState]int{carillon.HealthOK: 1, carillon.HealthFailing: 1, carillon.HealthOpen: 0}, counts)

		took := failure("evt_b", "sub_1", 2)
		took.State, took.Outcome = carillon.Succeeded, carillon.OutcomeDelivered
		out, err = s.Record(t.Context(), "run-b", []carillon.Delivery{took})
		require.NoError(t, err)
		require.Equal(t, map[string]carillon.Health{"sub_1": {}}, out.Health)
		require.Zero(t, healthOf(t, s, "sub_1"))
	})
}

func TestABreakerOpensOnceAfterTwentyFailuresAndEveryoneLearnsOfIt(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		sub := create(t, s, newSubscription("sub_1"))
		fails(t, s, "sub_1", "a", carillon.BreakerThreshold-1)
		before, err := s.ConfigVersion(t.Context())
		require.NoError(t, err)
		_, ok, err := s.OpenBreaker(t.Context(), "sub_1", noon, undrawn)
		require.NoError(t, err)
		require.False(t, ok, "one failure short")

		fails(t, s, "sub_1", "b", 1)
		const racers = 8
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range racers {
			wg.Go(func() {
				_, ok, err := s.OpenBreaker(t.Context(), "sub_1", noon, undrawn)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if ok {
					won++
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, won)
		after, err := s.ConfigVersion(t.Context())
		require.NoError(t, err)
		require.Equal(t, before+1, after)
		health := healthOf(t, s, "sub_1")
		require.Equal(t, carillon.HealthOpen, health.State())
		require.Equal(t, noon, health.OpenSince)
		require.Equal(t, noon.Add(time.Duration(sub.Retry.Schedule[0])), health.ProbeAt)
		now, err := s.Subscription(t.Context(), "sub_1")
		require.NoError(t, err)
		require.Equal(t, sub.Version, now.Version, "nobody's change is stale for it")
		reason, held := now.Held()
		require.True(t, held)
		require.Contains(t, reason, "breaker")

		// An attempt that was in flight does not close it: the probe does.
		claim(t, s, newEvent("evt_late"), "run-late", "sub_1")
		_, err = s.Record(t.Context(), "run-late", []carillon.Delivery{{
			EventID: "evt_late", SubscriptionID: "sub_1", State: carillon.Succeeded, Attempts: 1, Outcome: carillon.OutcomeDelivered,
		}})
		require.NoError(t, err)
		require.Equal(t, health, healthOf(t, s, "sub_1"))

		require.NoError(t, s.SetProbe(t.Context(), "sub_1", noon, noon.Add(time.Hour)))
		require.Equal(t, noon.Add(time.Hour), healthOf(t, s, "sub_1").ProbeAt)
		require.NoError(t, s.SetProbe(t.Context(), "sub_1", noon.Add(time.Second), noon))
		require.Equal(t, noon.Add(time.Hour), healthOf(t, s, "sub_1").ProbeAt, "of another opening")
	})
}

func TestABreakerCloses(t *testing.T) {
	t.Parallel()

	const failures = carillon.BreakerThreshold + 2
	tests := []struct {
		name  string
		close func(t *testing.T, s *store.Store)
		want  carillon.Health
	}{
		{"by its probe", func(t *testing.T, s *store.Store) {
			t.Helper()
			for _, want := range []bool{true, false} {
				closed, err := s.CloseBreaker(t.Context(), carillon.Closing{SubscriptionID: "sub_1", OpenSince: noon})
				require.NoError(t, err)
				require.Equal(t, want, closed)
			}
		}, carillon.Health{}},
		{"not by the probe of an earlier opening", func(t *testing.T, s *store.Store) {
			t.Helper()
			closed, err := s.CloseBreaker(t.Context(), carillon.Closing{SubscriptionID: "sub_1", OpenSince: noon.Add(-time.Hour)})
			require.NoError(t, err)
			require.False(t, closed)
		}, carillon.Health{Failures: failures, FailingSince: noon, OpenSince: noon, ProbeAt: noon.Add(time.Minute)}},
		{"until the next failure", func(t *testing.T, s *store.Store) {
			t.Helper()
			_, err := s.CloseBreaker(t.Context(), carillon.Closing{SubscriptionID: "sub_1", OpenSince: noon, Half: true})
			require.NoError(t, err)
		}, carillon.Health{Failures: carillon.BreakerThreshold - 1, FailingSince: noon}},
		{"by a person", func(t *testing.T, s *store.Store) {
			t.Helper()
			_, err := s.CloseBreaker(t.Context(), carillon.Closing{SubscriptionID: "sub_1"})
			require.NoError(t, err)
		}, carillon.Health{}},
		{"by pausing", func(t *testing.T, s *store.Store) { t.Helper(); setState(t, s, "sub_1", carillon.Paused) }, carillon.Health{}},
		{"by disabling", func(t *testing.T, s *store.Store) {
			t.Helper()
			out, err := s.Disable(t.Context(), carillon.Disable{
				SubscriptionID: "sub_1", Generation: 1, Run: "r", Policy: carillon.DisableExhausted, Now: noon,
			})
			require.NoError(t, err)
			require.True(t, out.Disabled)
			require.Equal(t, carillon.Health{ToldSince: noon}, out.Subscription.Health)
		}, carillon.Health{ToldSince: noon}},
		{"not by an edit", func(t *testing.T, s *store.Store) { t.Helper(); setState(t, s, "sub_1", carillon.Enabled) },
			carillon.Health{Failures: failures, FailingSince: noon, OpenSince: noon, ProbeAt: noon.Add(time.Minute)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, s *store.Store) {
				create(t, s, newSubscription("sub_1"))
				fails(t, s, "sub_1", "a", failures)
				opened(t, s, "sub_1", noon)
				tt.close(t, s)
				require.Equal(t, tt.want, healthOf(t, s, "sub_1"))
			})
		})
	}
}

// An event that finds the breaker open is held, or it finds it closed and is
// not: whatever the order, a look at the backlog after closing misses none that
// is held.
func TestNoDeliveryIsHeldUnseenWhileTheBreakerCloses(t *testing.T) {
	t.Parallel()

	const rounds = 500
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		held, pending := 0, 0
		fails(t, s, "sub_1", "first", carillon.BreakerThreshold-1)
		for n := range rounds {
			fails(t, s, "sub_1", fmt.Sprintf("f%d", n), 1)
			at := noon.Add(time.Duration(n) * time.Second)
			opened(t, s, "sub_1", at)
			id := fmt.Sprintf("evt_%d", n)
			c := newClaim(newEvent(id), "run-"+id, "sub_1")
			c.Deliveries[0].State = carillon.Held
			c.Deliveries[0].EventID = id
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := s.Claim(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
			closed, err := s.CloseBreaker(t.Context(), carillon.Closing{SubscriptionID: "sub_1", OpenSince: at, Half: true})
			require.NoError(t, err)
			require.True(t, closed)
			_, total, err := s.Backlog(t.Context(), backlogOf("sub_1", carillon.Held), 10)
			require.NoError(t, err)
			wg.Wait()
			row, err := s.Delivery(t.Context(), id, "sub_1")
			require.NoError(t, err)
			if row.State == carillon.Pending {
				pending++
				require.Zero(t, total)
				continue
			}
			held++
			require.Equal(t, carillon.Held, row.State)
			require.Equal(t, 1, total, "held, and missed by the look that followed the closing")
			_, ok, err := s.Reclaim(t.Context(), carillon.Redelivery{
				EventID: id, SubscriptionID: "sub_1", Number: 1, From: []carillon.DeliveryState{carillon.Held},
			}, carillon.Run{WorkflowID: "w", RunID: id}, noon)
			require.NoError(t, err)
			require.True(t, ok)
		}
		t.Logf("%d held, %d pending", held, pending)
	})
}

// Two endpoints that fail together are counted by many runs at once, in any
// order of their deliveries: nobody waits for ever.
func TestRecordsOfTheSameFailingEndpointsDoNotLockEachOther(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		create(t, s, newSubscription("sub_2"))
		const runs = 40
		var wg sync.WaitGroup
		for n := range runs {
			id := fmt.Sprintf("evt_%d", n)
			claim(t, s, newEvent(id), "run-"+id, "sub_1", "sub_2")
			rows := []carillon.Delivery{failure(id, "sub_1", 1), failure(id, "sub_2", 1)}
			if n%2 == 0 {
				rows[0], rows[1] = rows[1], rows[0]
			}
			wg.Go(func() {
				if _, err := s.Record(t.Context(), "run-"+id, rows); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, runs, healthOf(t, s, "sub_1").Failures)
		require.Equal(t, runs, healthOf(t, s, "sub_2").Failures)
	})
}
