package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func TestAFacesNumbersStayAndAreNeverGivenTwice(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		numbers, err := s.FaceNumbers(t.Context(), "codescoring", []string{"sub_b", "sub_a"})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"sub_b": 1, "sub_a": 2}, numbers)
		numbers, err = s.FaceNumbers(t.Context(), "codescoring", []string{"sub_a", "sub_c"})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"sub_b": 1, "sub_a": 2, "sub_c": 3}, numbers)
		numbers, err = s.FaceNumbers(t.Context(), "proget", []string{"sub_c"})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"sub_c": 1}, numbers, "each face counts by itself")

		id, err := s.FaceSubscription(t.Context(), "codescoring", 2)
		require.NoError(t, err)
		require.Equal(t, "sub_a", id)
		_, err = s.FaceSubscription(t.Context(), "codescoring", 9)
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))
	})
}

func TestAFacesNumbersWhenManyAskAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		group, ctx := errgroup.WithContext(t.Context())
		for i := range 8 {
			group.Go(func() error {
				_, err := s.FaceNumbers(context.WithoutCancel(ctx), "codescoring", []string{"sub_all", fmt.Sprint("sub_", i)})
				return err
			})
		}
		require.NoError(t, group.Wait())
		numbers, err := s.FaceNumbers(t.Context(), "codescoring", nil)
		require.NoError(t, err)
		require.Len(t, numbers, 9)
		seen := map[int64]bool{}
		for _, n := range numbers {
			require.False(t, seen[n])
			seen[n] = true
			require.LessOrEqual(t, n, int64(9))
		}
	})
}
