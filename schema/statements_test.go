package schema_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/dbtest"
)

// Statements are prepared once for a connection; what is asked twice at a time,
// fails, or is one of very many texts is answered all the same.
func TestSQLiteAnswersFromStatementsThatAreKept(t *testing.T) {
	t.Parallel()
	db, _ := open(t, dbtest.SQLite(t))
	ctx := t.Context()
	_, err := db.ExecContext(ctx, `CREATE TABLE things (n BIGINT NOT NULL PRIMARY KEY, flag BOOLEAN NOT NULL)`)
	require.NoError(t, err)
	const insert = `INSERT INTO things (n, flag) VALUES (?, ?)`
	for n := range 3 {
		_, err = db.ExecContext(ctx, insert, n, n == 1)
		require.NoError(t, err)
	}
	_, err = db.ExecContext(ctx, insert, 1, false)
	require.ErrorContains(t, err, "UNIQUE")
	_, err = db.ExecContext(ctx, insert, 3, false)
	require.NoError(t, err, "the statement that failed is as good as new")

	// The one connection, and the same text inside itself.
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	const larger = `SELECT n FROM things WHERE n > ? ORDER BY n`
	sums := map[int]int{}
	outer, err := tx.QueryContext(ctx, larger, 0)
	require.NoError(t, err)
	for outer.Next() {
		var n int
		require.NoError(t, outer.Scan(&n))
		inner, err := tx.QueryContext(ctx, larger, n)
		require.NoError(t, err)
		for inner.Next() {
			var m int
			require.NoError(t, inner.Scan(&m))
			sums[n] += m
		}
		require.NoError(t, inner.Err())
		require.NoError(t, inner.Close())
	}
	require.NoError(t, outer.Err())
	require.NoError(t, outer.Close())
	require.NoError(t, tx.Commit())
	require.Equal(t, map[int]int{1: 5, 2: 3}, sums)

	// A row that is not read to its end, and a table that changes under its
	// statement.
	const flagged = `SELECT flag FROM things WHERE n = ?`
	for range 2 {
		var flag bool
		require.NoError(t, db.QueryRowContext(ctx, flagged, 1).Scan(&flag))
		require.True(t, flag)
		_, err = db.ExecContext(ctx, fmt.Sprintf(`CREATE INDEX things_%d ON things (flag)`, len(sums)))
		require.NoError(t, err)
		sums[9] = 0
	}
	for n := range 500 {
		var got int
		require.NoError(t, db.QueryRowContext(ctx, fmt.Sprintf(`SELECT %d`, n)).Scan(&got))
		require.Equal(t, n, got)
	}
}
