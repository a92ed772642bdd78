package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func newDisable(run string) carillon.Disable {
	return carillon.Disable{
		SubscriptionID: "sub_1", Generation: 1, Run: run, Policy: carillon.DisableExhausted,
		FirstFailedAt: noon, Reason: "HTTP 503, 8 attempts", Now: noon.Add(time.Hour),
	}
}

func TestDisable(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name string
		// state of the subscription, and when another delivery to it succeeded.
		state     carillon.SubscriptionState
		succeeded time.Duration
		decision  func(d *carillon.Disable)
		want      bool
	}{
		{"an enabled subscription is disabled", carillon.Enabled, 0, func(*carillon.Disable) {}, true},
		{"a paused one, too", carillon.Paused, 0, func(*carillon.Disable) {}, true},
		{"one that a person disabled stays theirs", carillon.Disabled, 0, func(*carillon.Disable) {}, false},
		{
			"a decision of an older generation does not apply", carillon.Enabled, 0,
			func(d *carillon.Disable) { d.Generation = 0 }, false,
		},
		{
			"policy never does not", carillon.Enabled, 0,
			func(d *carillon.Disable) { d.Policy, d.Gone = carillon.DisableNever, true }, false,
		},
		{
			"a subscription that was deleted", carillon.Enabled, 0,
			func(d *carillon.Disable) { d.SubscriptionID = "sub_9" }, false,
		},
		{
			"policy unreachable, and nothing succeeded since", carillon.Enabled, -time.Second,
			func(d *carillon.Disable) { d.Policy = carillon.DisableUnreachable }, true,
		},
		{
			"policy unreachable, and a delivery succeeded since", carillon.Enabled, time.Second,
			func(d *carillon.Disable) { d.Policy = carillon.DisableUnreachable }, false,
		},
		{
			"policy unreachable, and a delivery succeeded at that instant", carillon.Enabled, 0,
			func(d *carillon.Disable) { d.Policy = carillon.DisableUnreachable }, false,
		},
		{
			"policy unreachable, and the receiver is gone for good", carillon.Enabled, time.Second,
			func(d *carillon.Disable) { d.Policy, d.Gone = carillon.DisableUnreachable, true }, true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, s *store.Store) {
				sub := newSubscription("sub_1")
				sub.State = test.state
				stored := create(t, s, sub)
				claim(t, s, newEvent("evt_1"), "run-9", "sub_1")
				record(t, s, "run-9", carillon.Delivery{
					EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Succeeded, UpdatedAt: noon.Add(test.succeeded),
				})
				d := newDisable("run-1")
				test.decision(&d)
				result, err := s.Disable(t.Context(), d)
				require.NoError(t, err)
				require.Equal(t, test.want, result.Disabled)

				got, err := s.Subscription(t.Context(), "sub_1")
				require.NoError(t, err)
				version, err := s.ConfigVersion(t.Context())
				require.NoError(t, err)
				if !test.want {
					require.Equal(t, stored, got)
					require.EqualValues(t, 1, version)
					return
				}
				want := stored
				want.State, want.Version, want.UpdatedAt = carillon.Disabled, 2, noon.Add(time.Hour)
				want.DisabledBy, want.DisabledReason = "run-1", "HTTP 503, 8 attempts"
				want.Health.ToldSince = want.UpdatedAt
				require.Equal(t, want, got)
				require.EqualValues(t, 2, version)
				want.Endpoint = nil
				require.Equal(t, want, result.Subscription)
			})
		})
	}
}

func TestARunThatDisablesAgainGetsTheSameAnswer(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		first, err := s.Disable(t.Context(), newDisable("run-1"))
		require.NoError(t, err)
		second, err := s.Disable(t.Context(), newDisable("run-1"))
		require.NoError(t, err)
		require.Equal(t, first, second)
		other, err := s.Disable(t.Context(), newDisable("run-2"))
		require.NoError(t, err)
		require.False(t, other.Disabled)

		entries, err := s.Audit(t.Context(), carillon.AuditFilter{Object: "sub_1", Limit: 10})
		require.NoError(t, err)
		require.Len(t, entries, 2, "created once, disabled once")

		sub, err := s.Subscription(t.Context(), "sub_1")
		require.NoError(t, err)
		sub.State = carillon.Enabled
		sub, err = s.UpdateSubscription(t.Context(), sub, 0, "admin")
		require.NoError(t, err)
		require.Empty(t, sub.DisabledBy)
		require.Empty(t, sub.DisabledReason)
		again, err := s.Disable(t.Context(), newDisable("run-1"))
		require.NoError(t, err)
		require.False(t, again.Disabled, "enabled since")
	})
}

func TestOfManyRunsThatDisableASubscriptionOneDoes(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		disabled := make([]bool, 50)
		var group errgroup.Group
		for i := range disabled {
			group.Go(func() error {
				result, err := s.Disable(t.Context(), newDisable(fmt.Sprint("run-", i)))
				disabled[i] = result.Disabled
				return err
			})
		}
		require.NoError(t, group.Wait())
		require.Equal(t, 1, count(disabled))
		version, err := s.ConfigVersion(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2, version)
	})
}
