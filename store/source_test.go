package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func newSource(id, name string) carillon.Source {
	return carillon.Source{
		ID: id, Name: name, Kind: "distribution", Scope: map[string]string{"feed": "containers"}, CreatedAt: noon,
	}
}

func TestSources(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		created, err := s.CreateSource(ctx, newSource("src_1", "Registry"), "admin")
		require.NoError(t, err)
		want := newSource("src_1", "Registry")
		want.Version, want.UpdatedAt = 1, noon
		require.Equal(t, want, created)
		got, err := s.Source(ctx, "registry")
		require.NoError(t, err)
		require.Equal(t, want, got)

		_, err = s.CreateSource(ctx, newSource("src_2", "REGISTRY"), "admin")
		require.Equal(t, carillon.CodeExists, carillon.CodeOf(err))
		_, err = s.CreateSource(ctx, newSource("src_2", "another"), "admin")
		require.NoError(t, err)
		all, err := s.Sources(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"another", "Registry"}, []string{all[0].Name, all[1].Name})

		changed := want
		changed.Name, changed.Scope, changed.UpdatedAt = "another", nil, noon.Add(time.Hour)
		_, err = s.UpdateSource(ctx, changed, 1, "admin")
		require.Equal(t, carillon.CodeExists, carillon.CodeOf(err))
		changed.Name = "renamed"
		_, err = s.UpdateSource(ctx, changed, 2, "admin")
		require.Equal(t, carillon.CodeStale, carillon.CodeOf(err))
		got, err = s.UpdateSource(ctx, changed, 1, "admin")
		require.NoError(t, err)
		changed.Version = 2
		require.Equal(t, changed, got)
		got, err = s.Source(ctx, "renamed")
		require.NoError(t, err)
		require.Equal(t, changed, got)
		changed.ID = "src_9"
		_, err = s.UpdateSource(ctx, changed, 0, "admin")
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))

		require.Equal(t, carillon.CodeStale, carillon.CodeOf(s.DeleteSource(ctx, "renamed", 1, "admin", noon)))
		require.NoError(t, s.DeleteSource(ctx, "renamed", 2, "admin", noon))
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(s.DeleteSource(ctx, "renamed", 0, "admin", noon)))

		entries, err := s.Audit(ctx, carillon.AuditFilter{Object: "src_1", Limit: 10})
		require.NoError(t, err)
		require.Len(t, entries, 3)
	})
}

func TestOfManySourcesOfOneNameOneIsCreated(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		exists := make([]bool, 20)
		var group errgroup.Group
		for i := range exists {
			group.Go(func() error {
				_, err := s.CreateSource(t.Context(), newSource(carillon.NewID("src_", noon), "registry"), "admin")
				if carillon.CodeOf(err) == carillon.CodeExists {
					exists[i], err = true, nil
				}
				return err
			})
		}
		require.NoError(t, group.Wait())
		require.Equal(t, 19, count(exists))
	})
}
