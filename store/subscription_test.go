package store_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func newSubscription(id string) carillon.Subscription {
	return carillon.Subscription{
		ID: id, Name: "CoolUtils watchers", EventTypes: []string{"package.*"},
		Scope: map[string][]string{"feed": {"internal-utils", "public"}}, Condition: `pkg.name == "x"`,
		IncludeCached: true, Channel: "webhook", Endpoint: carillon.Endpoint(`{"url":"https://example.com/"}`),
		Format: "standard", FormatOptions: json.RawMessage(`{"a":1}`), Retry: carillon.DefaultRetry(), State: carillon.Enabled, CreatedAt: noon,
		Profile: "defectdojo", Match: carillon.Match{Package: "MyCorp.*", ProjectIDs: []int64{7}},
	}
}

func create(t *testing.T, s *store.Store, sub carillon.Subscription) carillon.Subscription {
	t.Helper()
	created, err := s.CreateSubscription(t.Context(), sub, "admin")
	require.NoError(t, err)
	return created
}

func TestASubscriptionIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		want := newSubscription("sub_1")
		want.Version, want.Generation, want.CreatedVersion, want.UpdatedAt = 1, 1, 1, noon
		require.Equal(t, want, create(t, s, newSubscription("sub_1")))

		got, err := s.Subscription(t.Context(), "sub_1")
		require.NoError(t, err)
		require.Equal(t, want, got)

		version, all, err := s.Subscriptions(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, version)
		require.Equal(t, []carillon.Subscription{want}, all)

		_, err = s.CreateSubscription(t.Context(), newSubscription("sub_1"), "admin")
		require.Equal(t, carillon.CodeExists, carillon.CodeOf(err))
		_, err = s.Subscription(t.Context(), "sub_2")
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))

		version, err = s.ConfigVersion(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, version, "what failed made no version")
	})
}

func TestSubscriptionsArePagedByID(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		for _, id := range []string{"sub_3", "sub_1", "sub_2"} {
			create(t, s, newSubscription(id))
		}
		page, err := s.ListSubscriptions(t.Context(), "", 2)
		require.NoError(t, err)
		require.Len(t, page, 2)
		require.Equal(t, "sub_1", page[0].ID)
		page, err = s.ListSubscriptions(t.Context(), page[1].ID, 2)
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Equal(t, "sub_3", page[0].ID)
		page, err = s.ListSubscriptions(t.Context(), "sub_3", 2)
		require.NoError(t, err)
		require.Empty(t, page)
	})
}

func TestUpdateSubscription(t *testing.T) {
	t.Parallel()

	later := noon.Add(time.Hour)
	tests := []struct {
		name      string
		change    func(sub *carillon.Subscription)
		ifVersion int64
		code      carillon.Code
		want      func(sub *carillon.Subscription)
	}{
		{
			name:   "people's choices are replaced",
			change: func(sub *carillon.Subscription) { sub.Name, sub.Condition, sub.Scope = "other", "", nil },
			want:   func(sub *carillon.Subscription) { sub.Name, sub.Condition, sub.Scope = "other", "", nil },
		},
		{
			name: "what is the store's stays",
			change: func(sub *carillon.Subscription) {
				sub.Generation, sub.CreatedVersion, sub.Version, sub.DisabledBy = 7, 7, 7, "me"
				sub.CreatedAt = later
			},
			want: func(*carillon.Subscription) {},
		},
		{
			name:      "the version it was made from",
			change:    func(sub *carillon.Subscription) { sub.Name = "other" },
			ifVersion: 1,
			want:      func(sub *carillon.Subscription) { sub.Name = "other" },
		},
		{
			name:      "another version is stale",
			change:    func(sub *carillon.Subscription) { sub.Name = "other" },
			ifVersion: 2,
			code:      carillon.CodeStale,
		},
		{
			name:   "one that is not there is not found",
			change: func(sub *carillon.Subscription) { sub.ID = "sub_9" },
			code:   carillon.CodeNotFound,
		},
		{
			name: "disabling keeps the reason and the generation",
			change: func(sub *carillon.Subscription) {
				sub.State, sub.DisabledReason = carillon.Disabled, "by hand"
			},
			want: func(sub *carillon.Subscription) {
				sub.State, sub.DisabledReason = carillon.Disabled, "by hand"
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, s *store.Store) {
				stored := create(t, s, newSubscription("sub_1"))
				changed := stored
				changed.UpdatedAt = later
				test.change(&changed)
				got, err := s.UpdateSubscription(t.Context(), changed, test.ifVersion, "admin")
				if test.code != "" {
					require.Equal(t, test.code, carillon.CodeOf(err))
					unchanged, err := s.Subscription(t.Context(), "sub_1")
					require.NoError(t, err)
					require.Equal(t, stored, unchanged)
					return
				}
				require.NoError(t, err)
				want := stored
				want.Version, want.UpdatedAt = 2, later
				test.want(&want)
				require.Equal(t, want, got)
				read, err := s.Subscription(t.Context(), "sub_1")
				require.NoError(t, err)
				require.Equal(t, want, read)
				version, err := s.ConfigVersion(t.Context())
				require.NoError(t, err)
				require.EqualValues(t, 2, version)
			})
		})
	}
}

func TestOnlyEnablingRaisesTheGeneration(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		sub := create(t, s, newSubscription("sub_1"))
		steps := []struct {
			state carillon.SubscriptionState
			want  int64
		}{
			{carillon.Enabled, 1}, {carillon.Paused, 1}, {carillon.Enabled, 2},
			{carillon.Disabled, 2}, {carillon.Paused, 2}, {carillon.Enabled, 3},
		}
		for _, step := range steps {
			sub.State = step.state
			var err error
			sub, err = s.UpdateSubscription(t.Context(), sub, sub.Version, "admin")
			require.NoError(t, err)
			require.Equal(t, step.want, sub.Generation, "after %s", step.state)
		}
	})
}

func TestOfManyUpdatesFromOneVersionOneWins(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		sub := create(t, s, newSubscription("sub_1"))
		stale := make([]bool, 10)
		var group errgroup.Group
		for i := range stale {
			group.Go(func() error {
				changed := sub
				changed.Name = strconv.Itoa(i)
				_, err := s.UpdateSubscription(t.Context(), changed, 1, "admin")
				if carillon.CodeOf(err) == carillon.CodeStale {
					stale[i], err = true, nil
				}
				return err
			})
		}
		require.NoError(t, group.Wait())
		require.Equal(t, 9, count(stale))
	})
}

func TestDeletingASubscriptionCancelsItsDeliveries(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		want := map[string]carillon.DeliveryState{}
		for i, state := range carillon.DeliveryStates {
			id := fmt.Sprintf("evt_%d", i)
			claim(t, s, newEvent(id), "run-1", "sub_1", "sub_2")
			record(t, s, "run-1", carillon.Delivery{
				EventID: id, SubscriptionID: "sub_1", State: state, NextAt: noon.Add(time.Hour), UpdatedAt: noon,
			})
			want[id] = carillon.Canceled
			if state.Final() {
				want[id] = state
			}
		}
		require.Equal(t, carillon.CodeStale,
			carillon.CodeOf(s.DeleteSubscription(t.Context(), "sub_1", 2, "admin", noon)))
		require.NoError(t, s.DeleteSubscription(t.Context(), "sub_1", 1, "admin", noon))
		require.Equal(t, carillon.CodeNotFound,
			carillon.CodeOf(s.DeleteSubscription(t.Context(), "sub_1", 0, "admin", noon)))

		for id, state := range want {
			got, err := s.Delivery(t.Context(), id, "sub_1")
			require.NoError(t, err)
			require.Equal(t, state, got.State, id)
			if !state.Final() {
				require.Zero(t, got.NextAt)
			}
			other, err := s.Delivery(t.Context(), id, "sub_2")
			require.NoError(t, err)
			require.Equal(t, carillon.Pending, other.State, "another subscription's stay")
		}
	})
}

// A post that read version v must see every subscription made before it: a
// subscription whose creation has returned may not have a version above one
// that is read later, whatever else is being created.
func TestConfigVersionsFollowTheOrderOfCommits(t *testing.T) {
	t.Parallel()

	const writers, each = 10, 50
	eachStore(t, func(t *testing.T, s *store.Store) {
		var group errgroup.Group
		for writer := range writers {
			group.Go(func() error {
				for i := range each {
					created, err := s.CreateSubscription(t.Context(), newSubscription(fmt.Sprintf("sub_%d_%d", writer, i)), "admin")
					if err != nil {
						return err
					}
					read, err := s.ConfigVersion(t.Context())
					if err != nil {
						return err
					}
					if created.CreatedVersion > read {
						return fmt.Errorf("made version %d, then read %d", created.CreatedVersion, read)
					}
				}
				return nil
			})
		}
		// Whoever reads a version finds all subscriptions up to it.
		done := make(chan struct{})
		var reader errgroup.Group
		reader.Go(func() error {
			for {
				version, all, err := s.Subscriptions(t.Context())
				if err != nil {
					return err
				}
				seen := int64(0)
				for _, sub := range all {
					if sub.CreatedVersion <= version {
						seen++
					}
				}
				if seen != version {
					return fmt.Errorf("version %d came with %d of its subscriptions", version, seen)
				}
				select {
				case <-done:
					return nil
				default:
				}
			}
		})
		err := group.Wait()
		close(done)
		require.NoError(t, err)
		require.NoError(t, reader.Wait())

		version, all, err := s.Subscriptions(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, writers*each, version)
		versions := map[int64]bool{}
		for _, sub := range all {
			versions[sub.CreatedVersion] = true
		}
		require.Len(t, versions, writers*each, "every creation made a version of its own")
	})
}

func count(flags []bool) int {
	n := 0
	for _, flag := range flags {
		if flag {
			n++
		}
	}
	return n
}
