package store_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/store"
)

func thread(t *testing.T, s *store.Store, subscription, topic string) string {
	t.Helper()
	kept, err := s.FindThread(t.Context(), subscription, topic)
	require.NoError(t, err)
	return string(kept)
}

func TestAThreadIsKeptForItsTopic(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		create(t, s, newSubscription("sub_2"))
		keep := func(subscription, topic, thread string) {
			require.NoError(t, s.KeepThread(t.Context(), subscription, topic, json.RawMessage(thread), noon))
		}
		require.Empty(t, thread(t, s, "sub_1", "a"))
		keep("sub_1", "a", `{"ts":"1"}`)
		keep("sub_1", "b", `{"ts":"2"}`)
		keep("sub_2", "a", `{"ts":"3"}`)
		keep("sub_1", "a", `{"ts":"4"}`)
		require.JSONEq(t, `{"ts":"4"}`, thread(t, s, "sub_1", "a"))
		require.JSONEq(t, `{"ts":"2"}`, thread(t, s, "sub_1", "b"))
		require.JSONEq(t, `{"ts":"3"}`, thread(t, s, "sub_2", "a"))

		require.NoError(t, s.DeleteSubscription(t.Context(), "sub_1", 0, "admin", noon))
		keep("sub_1", "a", `{"ts":"5"}`) // by an attempt that was under way
		require.Empty(t, thread(t, s, "sub_1", "a"))
		require.Empty(t, thread(t, s, "sub_1", "b"))
		require.JSONEq(t, `{"ts":"3"}`, thread(t, s, "sub_2", "a"))
	})
}

func TestThreadsThatNobodyUsesArePruned(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		for n := range 5 {
			require.NoError(t, s.KeepThread(t.Context(), "sub_1", strconv.Itoa(n), json.RawMessage(`{}`), noon.Add(time.Duration(n)*time.Hour)))
		}
		require.NoError(t, s.KeepThread(t.Context(), "sub_1", "0", json.RawMessage(`{}`), noon.Add(9*time.Hour)))
		before := noon.Add(4 * time.Hour)
		for _, want := range []int{2, 1, 0} { // the oldest first
			removed, err := s.PruneThreads(t.Context(), before, 2)
			require.NoError(t, err)
			require.Equal(t, want, removed)
		}
		require.NotEmpty(t, thread(t, s, "sub_1", "0"), "it was used again")
		require.Empty(t, thread(t, s, "sub_1", "3"))
		require.NotEmpty(t, thread(t, s, "sub_1", "4"))
	})
}
