package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const (
	changedSubscriptions = `SELECT ` + subscriptionColumns + ` FROM subscriptions WHERE changed_version > ? ORDER BY changed_version`
	subscriptionVersions = `SELECT id, version FROM subscriptions`
	subscriptionsOf      = `SELECT ` + subscriptionColumns + ` FROM subscriptions WHERE id IN `
)

// Changes brings a copy of all subscriptions up to date. The copy is of a
// config version, and known names its subscriptions and their versions; an
// empty copy, of version 0, gets everything.
//
// Where each version since was the change of another subscription that is still
// there, only those are read. Else something was deleted, or changed twice, or
// changed by a program that does not stamp its changes: then the ids and
// versions of all rows are compared.
func (s *Store) Changes(ctx context.Context, since int64, known iter.Seq2[string, int64]) (carillon.Changes, error) {
	var changes carillon.Changes
	var rows []subscriptionRow
	err := s.readTx(ctx, func(tx *sqlx.Tx) error {
		version, err := get[int64](ctx, tx, selectConfigVersion)
		if err != nil {
			return err
		}
		changes = carillon.Changes{Version: version}
		after := since
		if since == 0 || version < since { // nothing yet, or a database that was put back
			after = -1
		}
		if rows, err = list[subscriptionRow](ctx, tx, changedSubscriptions, after); err != nil {
			return err
		}
		if after >= 0 && int64(len(rows)) == version-since {
			return nil
		}
		var stale []string
		if changes.Removed, stale, err = compare(ctx, tx, rows, maps.Collect(known)); err != nil {
			return err
		}
		for ids := range slices.Chunk(stale, maxParameters) {
			more, err := list[subscriptionRow](ctx, tx, subscriptionsOf+values(1, len(ids)), anys(ids)...)
			if err != nil {
				return err
			}
			rows = append(rows, more...)
		}
		return nil
	})
	if err != nil {
		return carillon.Changes{}, fmt.Errorf("read changes of subscriptions since %d: %w", since, err)
	}
	changes.Changed, err = s.openAll(rows)
	return changes, err
}

// compare returns what the copy has and the table has not, and what the table
// has in another version than the copy, unless it is among the rows read.
func compare(ctx context.Context, tx *sqlx.Tx, read []subscriptionRow, known map[string]int64) (removed, stale []string, err error) {
	there, err := list[struct {
		ID      string `db:"id"`
		Version int64  `db:"version"`
	}](ctx, tx, subscriptionVersions)
	if err != nil {
		return nil, nil, err
	}
	have := make(map[string]bool, len(read))
	for _, row := range read {
		have[row.ID] = true
	}
	for _, row := range there {
		version, ok := known[row.ID]
		if !have[row.ID] && (!ok || version != row.Version) {
			stale = append(stale, row.ID)
		}
		delete(known, row.ID)
	}
	return slices.Sorted(maps.Keys(known)), stale, nil
}

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}

// readTx runs fn in a transaction whose statements all see the database as it
// was at the first of them.
func (s *Store) readTx(ctx context.Context, fn func(tx *sqlx.Tx) error) error {
	var tx *sqlx.Tx
	err := again(func() (err error) {
		// SQLite has no other level, and its driver passes over this one.
		tx, err = s.reader.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		return err
	})
	if err != nil {
		return fmt.Errorf("begin transaction: %w", away(err))
	}
	// Nothing was written: how it ends says nothing.
	defer func() { _ = tx.Rollback() }()
	return away(fn(tx))
}
