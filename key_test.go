package carillon_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestASecretNamesItsKey(t *testing.T) {
	t.Parallel()
	id := carillon.NewID(carillon.KeyPrefix, time.Unix(1, 0))
	secret := carillon.NewKeySecret(id)
	require.Regexp(t, `^key_[0-9A-Z]{26}_[A-Z2-7]{26}$`, secret)
	require.NotEqual(t, secret, carillon.NewKeySecret(id))
	got, ok := carillon.KeyIDOf(secret)
	require.True(t, ok)
	require.Equal(t, id, got)
	for _, text := range []string{"", "key_", id, id + "_", "sub" + strings.TrimPrefix(secret, "key"), secret[1:], "key_a_b", strings.TrimPrefix(secret, "key_")} {
		_, ok := carillon.KeyIDOf(text)
		require.False(t, ok, text)
	}
	require.True(t, carillon.HashKey(secret).Equal(carillon.HashKey(secret)))
	require.False(t, carillon.HashKey(secret).Equal(carillon.HashKey(secret+"A")))
}

func TestAKeyEndsAtItsExpiryOrRevocation(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		key  carillon.Key
		want carillon.KeyState
	}{
		"for ever":            {carillon.Key{}, carillon.KeyActive},
		"until later":         {carillon.Key{ExpiresAt: now.Add(1)}, carillon.KeyActive},
		"until now":           {carillon.Key{ExpiresAt: now}, carillon.KeyExpired},
		"revoked":             {carillon.Key{RevokedAt: now.Add(-1)}, carillon.KeyRevoked},
		"revoked and expired": {carillon.Key{RevokedAt: now, ExpiresAt: now}, carillon.KeyRevoked},
	} {
		require.Equal(t, test.want, test.key.State(now), name)
	}
}

func TestARefusalNamesEveryBound(t *testing.T) {
	t.Parallel()
	key := carillon.Key{
		Role: carillon.RolePublisher, Sources: []string{"a", "b"},
		Scope: map[string][]string{"product": {"p"}, "feed": {"f", "g"}},
	}
	require.NoError(t, key.MayPublish("b", map[string]string{"feed": "g", "product": "p", "project": "any"}))
	err := key.MayPublish("a", map[string]string{"feed": "h"})
	require.Equal(t, carillon.CodeForbidden, carillon.CodeOf(err))
	require.ErrorContains(t, err, "/scope: this key is for events whose feed is one of f, g; /scope: this key is for events whose product is one of p")
	require.ErrorContains(t, key.MayPublish("c", nil), "/source: this key is for events of a, b")
	require.Error(t, (&carillon.Key{Role: carillon.RolePublisher}).MayPublish("a", nil), "no source is none")
	require.NoError(t, (&carillon.Key{Role: carillon.RoleAdmin}).MayPublish("a", nil))
}
