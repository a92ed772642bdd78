package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

func TestAReceiverChangesOverToANewSecretWithoutMissingAnything(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		first := i.subscribe("/hook", schedule(time.Second))
		count := 0
		ring := func(id string) receiver.Request {
			accepted := i.publish(added(id))
			i.awaitDelivery(accepted.ID, first.ID, carillon.Succeeded)
			count++
			return i.requests("/hook", count)[count-1]
		}
		verifies := func(r receiver.Request, secret string) bool {
			err := client.Verify([]string{secret}, r.Header, r.Body)
			if err != nil {
				require.ErrorIs(t, err, client.ErrSignature)
			}
			return err == nil
		}

		second, err := i.client.RotateSecret(t.Context(), first.ID, first.ETag, client.Rotation{})
		require.NoError(t, err)
		require.NotEqual(t, first.Secret(), second.Secret())
		r := ring("1")
		require.True(t, verifies(r, first.Secret()), "a receiver that has the old secret")
		require.True(t, verifies(r, second.Secret()), "a receiver that has changed over")
		_, err = i.client.RotateSecret(t.Context(), first.ID, first.ETag, client.Rotation{})
		require.Equal(t, carillon.CodeStale, client.CodeOf(err))

		// The next overlap is short: after it the third secret signs alone.
		third, err := i.client.RotateSecret(t.Context(), first.ID, "", client.Rotation{Overlap: new(carillon.Duration(time.Second))})
		require.NoError(t, err)
		i.eventually("the overlap is over", func() bool {
			read, err := i.client.Subscription(t.Context(), first.ID)
			require.NoError(t, err)
			return !hasPrevious(t, read)
		})
		r = ring("2")
		require.False(t, verifies(r, first.Secret()))
		require.False(t, verifies(r, second.Secret()))
		require.True(t, verifies(r, third.Secret()))

		i.carillon.stop(t)
		for place, text := range map[string]string{"the log": i.carillon.log.String(), "a database": i.files()} {
			for _, secret := range []string{first.Secret(), second.Secret(), third.Secret()} {
				require.NotContains(t, text, secret, "a secret is in %s", place)
			}
		}
	})
}

// hasPrevious reports whether a previous secret of the subscription signs.
func hasPrevious(t *testing.T, sub client.Subscription) bool {
	t.Helper()
	var endpoint client.Webhook
	require.NoError(t, json.Unmarshal(sub.Endpoint.(json.RawMessage), &endpoint))
	return len(endpoint.PreviousSecrets) > 0
}
