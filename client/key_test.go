package client_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	key, err := answering(t, exchange{
		method: "POST", target: "/v1/keys", status: 201, golden: "key_created",
		body: `{"name":"registry","role":"publisher","sources":["registry.example.com"],
			"scope":{"feed":["internal-utils"]},"rate_limit":{"per_second":50},"expires_at":"2027-11-21T20:00:00Z"}`,
	}).CreateKey(t.Context(), client.NewKey{
		Name: "registry", Role: carillon.RolePublisher, Sources: []string{"registry.example.com"},
		Scope: map[string][]string{"feed": {"internal-utils"}}, RateLimit: client.RateLimit{PerSecond: 50}, ExpiresAt: time.Date(2027, 11, 21, 20, 0, 0, 0, time.UTC),
	})
	require.NoError(t, err)
	require.Equal(t, "SECRET", key.Secret)
	require.Equal(t, carillon.KeyActive, key.State)
	require.Equal(t, client.RateLimit{PerSecond: 50, Burst: 100}, key.RateLimit)

	page, err := answering(t, exchange{method: "GET", target: "/v1/keys?cursor=c&limit=3", status: 200, golden: "keys"}).Keys(t.Context(), 3, "c")
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.Empty(t, page.Items[0].Secret)
	one, err := answering(t, exchange{method: "GET", target: "/v1/keys/key_1", status: 200, golden: "key"}).Key(t.Context(), "key_1")
	require.NoError(t, err)
	require.False(t, one.LastUsedAt.IsZero())
	require.True(t, one.RevokedAt.IsZero())
	require.NoError(t, answering(t, exchange{method: "DELETE", target: "/v1/keys/key_1", status: 204}).RevokeKey(t.Context(), "key_1"))
}

func TestAudit(t *testing.T) {
	t.Parallel()
	page, err := answering(t, exchange{
		method: "GET", status: 200, golden: "audit",
		target: "/v1/audit?action=subscription.updated&actor=key_1&limit=2&object=sub_1&since=2026-11-21T20%3A00%3A00Z",
	}).Audit(t.Context(), client.AuditFilter{
		Object: "sub_1", Actor: "key_1", Action: "subscription.updated",
		Since: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), Limit: 2,
	})
	require.NoError(t, err)
	require.Equal(t, "ci", page.Items[0].ActorName)
	require.JSONEq(t, `{"name":"a"}`, string(page.Items[0].Before))
}
