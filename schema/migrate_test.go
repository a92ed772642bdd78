package schema_test

import (
	"database/sql"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/schema"
)

func TestMigrateTwiceDoesTheWorkOnce(t *testing.T) {
	t.Parallel()

	dbtest.EachEmpty(t, func(t *testing.T, databaseURL string) {
		db, driver := open(t, databaseURL)
		version, err := schema.Version(t.Context(), db, driver)
		require.NoError(t, err)
		require.Zero(t, version, "an empty database is at version 0")

		count, err := schema.Migrate(t.Context(), databaseURL)
		require.NoError(t, err)
		require.Equal(t, migrations(t), count)

		count, err = schema.Migrate(t.Context(), databaseURL)
		require.NoError(t, err)
		require.Zero(t, count)

		version, err = schema.Version(t.Context(), db, driver)
		require.NoError(t, err)
		require.Equal(t, schema.Latest(), version)
	})
}

func TestSeveralProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()

	dbtest.EachEmpty(t, func(t *testing.T, databaseURL string) {
		counts := make([]int, 6)
		var group errgroup.Group
		for i := range counts {
			group.Go(func() (err error) {
				counts[i], err = schema.Migrate(t.Context(), databaseURL)
				return err
			})
		}
		require.NoError(t, group.Wait())

		total := 0
		for _, count := range counts {
			total += count
		}
		require.Equal(t, migrations(t), total, "each migration is applied by one of them")
	})
}

// migrations counts the files: their numbers can leave some out.
func migrations(t *testing.T) int {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), "*.sql")
	require.NoError(t, err)
	return len(files)
}

func TestMigrationsAreInTheCommonSubset(t *testing.T) {
	t.Parallel()

	tree := os.DirFS(".")
	names, err := fs.Glob(tree, "*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		text, err := fs.ReadFile(tree, name)
		require.NoError(t, err)
		require.Regexp(t, `^\d{4}_[a-z_]+\.sql$`, name)
		require.True(t, strings.HasPrefix(string(text), "-- +goose Up\n"), "%s begins with its annotation", name)
		require.NotContains(t, string(text), "+goose Down", "%s: migrations go forward only", name)
		require.NotContains(t, string(text), "NO TRANSACTION", "%s is one transaction", name)
		for _, word := range []string{"SERIAL", "AUTOINCREMENT", "TIMESTAMP", "JSONB", "VARCHAR", "DATETIME", " INTEGER"} {
			require.NotContains(t, strings.ToUpper(string(text)), word, name)
		}
	}
}

func open(t *testing.T, databaseURL string) (*sql.DB, schema.Driver) {
	t.Helper()
	database, err := schema.Parse(databaseURL)
	require.NoError(t, err)
	db, err := database.Open()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db, database.Driver()
}
