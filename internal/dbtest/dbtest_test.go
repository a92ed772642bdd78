package dbtest_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/schema"
)

func TestEveryTestGetsAMigratedDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()

	var mu sync.Mutex
	seen := make(map[string]bool)
	for range 2 {
		dbtest.Each(t, func(t *testing.T, databaseURL string) {
			database, err := schema.Parse(databaseURL)
			require.NoError(t, err)
			db, err := database.Open()
			require.NoError(t, err)
			defer func() { require.NoError(t, db.Close()) }()

			version, err := schema.Version(t.Context(), db, database.Driver())
			require.NoError(t, err)
			require.Equal(t, schema.Latest(), version)

			mu.Lock()
			defer mu.Unlock()
			require.False(t, seen[databaseURL], "a database was given out twice")
			seen[databaseURL] = true
		})
	}
}
