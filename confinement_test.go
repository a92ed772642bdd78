package carillon_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestWhatIsWithinAConfinement(t *testing.T) {
	t.Parallel()
	to := carillon.Confinement{"feed": {"a", "b"}, "project": {"p"}}
	for _, test := range []struct {
		name   string
		scope  map[string]string
		within bool
	}{
		{"a value of each key", map[string]string{"feed": "b", "project": "p"}, true},
		{"a value of each key, and others", map[string]string{"feed": "a", "project": "p", "product": "x"}, true},
		{"another value", map[string]string{"feed": "c", "project": "p"}, false},
		{"the value in capitals", map[string]string{"feed": "A", "project": "p"}, false},
		{"the value of another key", map[string]string{"feed": "p", "project": "a"}, false},
		{"one key alone", map[string]string{"feed": "a"}, false},
		{"no scope", nil, false},
	} {
		require.Equal(t, test.within, to.Holds(test.scope), test.name)
		require.Equal(t, test.within, to.Check(test.scope) == nil, test.name)
		require.True(t, carillon.Confinement(nil).Holds(test.scope), test.name)
	}
	for _, test := range []struct {
		name   string
		scope  map[string][]string
		within bool
	}{
		{"some of the values", map[string][]string{"feed": {"b"}, "project": {"p"}}, true},
		{"all of the values, and other keys", map[string][]string{"feed": {"b", "a"}, "project": {"p"}, "product": {"x", "y"}}, true},
		{"a value more", map[string][]string{"feed": {"a", "c"}, "project": {"p"}}, false},
		{"one key alone", map[string][]string{"feed": {"a"}}, false},
		{"no scope", nil, false},
	} {
		require.Equal(t, test.within, to.HoldsAll(test.scope), test.name)
		require.Equal(t, test.within, to.CheckAll(test.scope) == nil, test.name)
		require.True(t, carillon.Confinement(nil).HoldsAll(test.scope), test.name)
	}
}

func TestARefusalByScopeSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	err := carillon.Confinement{"feed": {"a", "b"}, "project": {"p"}}.CheckAll(map[string][]string{"feed": {"c"}})
	require.Equal(t, carillon.CodeForbidden, carillon.CodeOf(err))
	var e *carillon.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []carillon.Problem{
		{Pointer: "/scope", Detail: "must have feed, and of its values only a, b"},
		{Pointer: "/scope", Detail: "must have project, and of its values only p"},
	}, e.Problems)
}

func TestAContextIsConfinedOnlyWhenItIsSaid(t *testing.T) {
	t.Parallel()
	require.Empty(t, carillon.ConfinementOf(t.Context()))
	to := carillon.Confinement{"feed": {"a"}}
	require.Equal(t, to, carillon.ConfinementOf(carillon.Confine(t.Context(), to)))
}
