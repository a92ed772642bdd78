package conditions_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/conditions"
)

func TestACacheCompilesATextOnceWhileItRemembersIt(t *testing.T) {
	t.Parallel()
	env, err := conditions.New()
	require.NoError(t, err)
	cache := conditions.NewCache(env, 2)
	first, err := cache.Compile("true")
	require.NoError(t, err)
	_, bad := cache.Compile("nonsense")
	require.Error(t, bad)

	again, err := cache.Compile("true")
	require.NoError(t, err)
	require.Same(t, first, again)
	_, badAgain := cache.Compile("nonsense")
	require.Same(t, bad, badAgain)

	_, err = cache.Compile("1 < 2")
	require.NoError(t, err)
	forgotten, err := cache.Compile("true")
	require.NoError(t, err)
	require.NotSame(t, first, forgotten, "the least recently used made room")
}
