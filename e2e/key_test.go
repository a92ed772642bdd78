package e2e

import (
	"testing"

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
