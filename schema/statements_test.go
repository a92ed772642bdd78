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
	larger := func(than int, each func(n int)) {
		rows, err := tx.QueryContext(ctx, `SELECT n FROM things WHERE n > ? ORDER BY n`, than)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		for rows.Next() {
			var n int
			require.NoError(t, rows.Scan(&n))
			each(n)
		}
		require.NoError(t, rows.Err())
	}
	sums := map[int]int{}
	larger(0, func(n int) {
		larger(n, func(m int) { sums[n] += m })
	})
	require.NoError(t, tx.Commit())
	require.Equal(t, map[int]int{1: 5, 2: 3}, sums)

	// A row that is not read to its end, and a table that changes under its
	// statement.
	const flagged = `SELECT flag FROM things WHERE n = ?`
	for i := range 2 {
		var flag bool
		require.NoError(t, db.QueryRowContext(ctx, flagged, 1).Scan(&flag))
		require.True(t, flag)
		_, err = db.ExecContext(ctx, fmt.Sprintf(`CREATE INDEX things_%d ON things (flag)`, i))
		require.NoError(t, err)
	}
	for n := range 500 {
		var got int
		require.NoError(t, db.QueryRowContext(ctx, fmt.Sprintf(`SELECT %d`, n)).Scan(&got))
		require.Equal(t, n, got)
	}
}
