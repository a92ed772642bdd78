package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/store"
)

func TestClockIsTheDatabasesOwn(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		now, own, err := s.Clock(t.Context())
		require.NoError(t, err)
		if own {
			require.WithinDuration(t, time.Now(), now, time.Minute)
		}
	})
}
