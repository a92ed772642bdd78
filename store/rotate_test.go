package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func TestARotationReplacesTheEndpointAndNothingElse(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		before := create(t, s, newSubscription("sub_1"))
		r := carillon.Rotation{
			SubscriptionID: "sub_1", IfVersion: 1, Endpoint: carillon.Endpoint(`{"secret":"marked"}`), Overlap: time.Hour,
			Actor: "key_1", Now: noon.Add(time.Minute),
		}
		want := before
		want.Endpoint, want.Version, want.UpdatedAt = r.Endpoint, 2, r.Now
		after, err := s.RotateSecret(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, want, after)
		version, all, err := s.Subscriptions(t.Context())
		require.NoError(t, err)
		require.Equal(t, []carillon.Subscription{want}, all)
		require.EqualValues(t, 2, version, "workers read it anew")

		_, err = s.RotateSecret(t.Context(), r)
		require.Equal(t, carillon.CodeStale, carillon.CodeOf(err))
		r.SubscriptionID = "sub_2"
		_, err = s.RotateSecret(t.Context(), r)
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))

		entries, err := s.Audit(t.Context(), carillon.AuditFilter{Object: "sub_1", Limit: 10})
		require.NoError(t, err)
		require.Len(t, entries, 2)
		entry := entries[0]
		require.Equal(t, "subscription.secret_rotated", entry.Action)
		require.Equal(t, "key_1", entry.Actor)
		require.Equal(t, r.Now, entry.At)
		require.Equal(t, "replaced the signing secret, with an overlap of 1h", entry.Detail)
		require.NotContains(t, string(entry.Before)+string(entry.After)+entry.Detail, "marked")
	})
}
