package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

func TestAProducerWithAKeyOfItsOwnPublishesItsEventsAndNoOthers(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		key, err := i.client.CreateKey(t.Context(), client.NewKey{
			Name: "registry", Role: carillon.RolePublisher, Sources: []string{"registry.example.com"},
		})
		require.NoError(t, err)
		producer := client.New(i.url(), key.Secret)

		accepted, err := producer.Publish(t.Context(), added("1"))
		require.NoError(t, err)
		other := added("1")
		other.Source = "other.example.com"
		_, err = producer.Publish(t.Context(), other)
		require.Equal(t, carillon.CodeForbidden, client.CodeOf(err))
		_, err = producer.Event(t.Context(), accepted.ID)
		require.Equal(t, carillon.CodeForbidden, client.CodeOf(err))

		require.NoError(t, i.client.RevokeKey(t.Context(), key.ID))
		_, err = producer.Publish(t.Context(), added("2"))
		require.Equal(t, carillon.CodeUnauthorized, client.CodeOf(err))

		audit, err := i.client.Audit(t.Context(), client.AuditFilter{Object: key.ID})
		require.NoError(t, err)
		require.Len(t, audit.Items, 2)
		require.Equal(t, "key.revoked", audit.Items[0].Action)
		require.Equal(t, "admin", audit.Items[0].Actor)
	})
}

func TestATeamWithAScopeSeesItsOwnAndNobodyElses(t *testing.T) {
	t.Parallel()
	i := start(t)
	key, err := i.client.CreateKey(t.Context(), client.NewKey{
		Name: "internal-utils", Role: carillon.RoleAdmin, Scope: map[string][]string{"feed": {"internal-utils"}},
		RateLimit: client.RateLimit{PerSecond: 0.01, Burst: 9},
	})
	require.NoError(t, err)
	team := client.New(i.url(), key.Secret)
	everybodys := i.subscribe("/everybody", func(s *client.Subscription) { s.Scope = nil })

	ours, theirs := added("1"), added("2")
	ours.Scope, theirs.Scope = map[string]string{"feed": "internal-utils"}, map[string]string{"feed": "other"}
	accepted, err := team.Publish(t.Context(), ours)
	require.NoError(t, err)
	_, err = team.Publish(t.Context(), theirs)
	require.Equal(t, carillon.CodeForbidden, client.CodeOf(err))
	foreign, err := i.client.Publish(t.Context(), theirs)
	require.NoError(t, err)
	i.awaitDelivery(accepted.ID, everybodys.ID, carillon.Succeeded)
	i.awaitDelivery(foreign.ID, everybodys.ID, carillon.Succeeded)

	events, err := team.Events(t.Context(), client.EventFilter{})
	require.NoError(t, err)
	require.Len(t, events.Items, 1)
	require.Equal(t, accepted.ID, events.Items[0].ID)
	_, err = team.Event(t.Context(), foreign.ID)
	require.Equal(t, carillon.CodeNotFound, client.CodeOf(err))
	deliveries, err := team.Deliveries(t.Context(), client.DeliveryFilter{})
	require.NoError(t, err)
	require.Empty(t, deliveries.Items, "everybody's subscription is not the team's")
	_, err = team.Keys(t.Context(), 0, "")
	require.Equal(t, carillon.CodeForbidden, client.CodeOf(err))
	for range 9 { // more than it may at once
		_, err = team.Events(t.Context(), client.EventFilter{})
		if err != nil {
			break
		}
	}
	require.Equal(t, carillon.CodeRateLimited, client.CodeOf(err))
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.GreaterOrEqual(t, refused.RetryAfter, time.Second)
}
