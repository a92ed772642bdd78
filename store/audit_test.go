package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func TestTheAuditSaysWhoChangedWhat(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		sub := create(t, s, newSubscription("sub_1"))
		sub.Condition, sub.Endpoint = "", carillon.Endpoint(`{"url":"https://example.com/other"}`)
		sub.UpdatedAt = noon.Add(time.Minute)
		_, err := s.UpdateSubscription(t.Context(), sub, 0, "key_1")
		require.NoError(t, err)
		d := newDisable("run-1")
		d.Now = noon.Add(2 * time.Minute)
		_, err = s.Disable(t.Context(), d)
		require.NoError(t, err)
		require.NoError(t, s.DeleteSubscription(t.Context(), "sub_1", 0, "admin", noon.Add(3*time.Minute)))

		entries, err := s.Audit(t.Context(), carillon.AuditFilter{Limit: 10})
		require.NoError(t, err)
		var got []carillon.AuditEntry
		for _, entry := range entries {
			require.NotEmpty(t, entry.ID)
			require.NotContains(t, string(entry.Before)+string(entry.After), "endpoint")
			entry.ID, entry.Before, entry.After = "", nil, nil
			got = append(got, entry)
		}
		require.Equal(t, []carillon.AuditEntry{
			{At: noon.Add(3 * time.Minute), Actor: "admin", Action: "subscription.deleted", Object: "sub_1", Detail: `deleted "CoolUtils watchers"`},
			{At: noon.Add(2 * time.Minute), Actor: "run-1", Action: "subscription.disabled", Object: "sub_1", Detail: "HTTP 503, 8 attempts"},
			{At: noon.Add(time.Minute), Actor: "key_1", Action: "subscription.updated", Object: "sub_1", Detail: "changed condition, endpoint"},
			{At: noon, Actor: "admin", Action: "subscription.created", Object: "sub_1", Detail: `created "CoolUtils watchers"`},
		}, got)
		require.Nil(t, entries[0].After)
		require.Nil(t, entries[3].Before)
		require.Contains(t, string(entries[2].Before), `"condition":"pkg.name == \"x\""`)
		require.NotContains(t, string(entries[2].After), `"condition"`)

		page, err := s.Audit(t.Context(), carillon.AuditFilter{
			Object: "sub_1", Before: carillon.AuditCursor{At: entries[1].At, ID: entries[1].ID}, Limit: 1,
		})
		require.NoError(t, err)
		require.Equal(t, entries[2:3], page)
		none, err := s.Audit(t.Context(), carillon.AuditFilter{Object: "sub_9", Limit: 1})
		require.NoError(t, err)
		require.Empty(t, none)
	})
}
