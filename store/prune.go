package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

// Pruning goes from subscription to subscription, so that it costs two probes
// of an index for each and then what it removes. Going through the table by
// time would read the rows that are kept anew with every batch: up to 50 for
// each subscription that has been quiet for long.
const (
	nextDelivered   = `SELECT COALESCE(MIN(subscription_id), '') FROM deliveries WHERE subscription_id > ?`
	selectOldestOut = `SELECT received_at, event_id FROM deliveries WHERE subscription_id = ?
		ORDER BY received_at DESC, event_id DESC LIMIT 1 OFFSET ?`
	subscriptionExists = `SELECT 1 FROM subscriptions WHERE id = ?`

	// The state is asked for twice: PostgreSQL looks at the outer condition
	// again when the row has changed in between, as by a redelivery. Deliveries
	// that were held for longer than the retention are read with every batch.
	pruneDeliveries = `DELETE FROM deliveries WHERE subscription_id = ? AND state IN ('succeeded', 'failed', 'canceled')
		AND event_id IN (` + prunableDeliveries + `)`
	prunableDeliveries = `SELECT event_id FROM deliveries WHERE subscription_id = ? AND (received_at, event_id) < (?, ?)
		AND state IN ('succeeded', 'failed', 'canceled') ORDER BY received_at, event_id LIMIT ?`

	// Events that are kept for their deliveries are read once a pruning, as the
	// next batch begins after the last row of this one.
	prunableEvents = `SELECT e.id, e.received_at, e.scope,
		CASE WHEN EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id) THEN 1 ELSE 0 END AS kept
		FROM events e WHERE e.received_at < ? AND (e.received_at, e.id) > (?, ?)
		ORDER BY e.received_at, e.id LIMIT ?`
	deleteEvents = `DELETE FROM events WHERE id IN `
	// The types of the first row are those of all.
	deleteEventScopes = `DELETE FROM event_scopes WHERE (scope_key, scope_value, received_at, event_id) IN (VALUES
		(CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT))`
	scopeCount = 4 // columns
)

// NextDelivered returns the first id after the given one of a subscription,
// existing or deleted, that has deliveries; empty when there is none.
func (s *Store) NextDelivered(ctx context.Context, after string) (string, error) {
	next, err := readOne[string](ctx, s, nextDelivered, after)
	if err != nil {
		return "", fmt.Errorf("look for the next subscription: %w", err)
	}
	return next, nil
}

// PruneDeliveries removes at most limit deliveries of a subscription, the
// oldest first, and says how many: those that are final, belong to an event
// received before the given time, and are not among its newest
// [carillon.KeptDeliveries]. A subscription that was deleted keeps none.
func (s *Store) PruneDeliveries(ctx context.Context, subscription string, before time.Time, limit int) (int, error) {
	out, err := s.oldestOut(ctx, subscription, before)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	var removed int64
	if err == nil {
		err = again(func() (err error) {
			removed, err = exec(ctx, s.writer, pruneDeliveries, subscription, subscription, out.ReceivedAt, out.EventID, limit)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("prune deliveries of %s: %w", subscription, away(err))
	}
	return int(removed), nil
}

// deliveryPlace is a place in a subscription's deliveries.
type deliveryPlace struct {
	ReceivedAt int64  `db:"received_at"`
	EventID    string `db:"event_id"`
}

// oldestOut returns the first delivery that stays: rows that come while the
// pruning goes on only move that place up. [sql.ErrNoRows] means that all stay.
func (s *Store) oldestOut(ctx context.Context, subscription string, before time.Time) (deliveryPlace, error) {
	out := deliveryPlace{ReceivedAt: micros(before)}
	_, err := readOne[int](ctx, s, subscriptionExists, subscription)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	kept, err := readOne[deliveryPlace](ctx, s, selectOldestOut, subscription, carillon.KeptDeliveries-1)
	if err == nil && kept.ReceivedAt < out.ReceivedAt {
		out = kept
	}
	return out, err
}

// PruneEvents looks at the next limit events after a place, the oldest first,
// that were received before the given time, and removes those that have no
// delivery. It returns how many, and the place to go on from; the zero place
// means that it has seen all.
func (s *Store) PruneEvents(ctx context.Context, before time.Time, after carillon.EventCursor, limit int) (
	removed int, next carillon.EventCursor, err error,
) {
	type candidate struct {
		ID         string `db:"id"`
		ReceivedAt int64  `db:"received_at"`
		Scope      string `db:"scope"`
		Kept       bool   `db:"kept"`
	}
	rows, err := readAll[candidate](ctx, s, prunableEvents, micros(before), micros(after.ReceivedAt), after.ID, limit)
	if err != nil {
		return 0, next, fmt.Errorf("look for events to prune: %w", err)
	}
	var ids, scopes []any
	for _, row := range rows {
		if row.Kept {
			continue
		}
		var scope map[string]string
		if err := json.Unmarshal([]byte(row.Scope), &scope); err != nil {
			return 0, next, fmt.Errorf("read scope of event %s: %w", row.ID, err)
		}
		ids = append(ids, row.ID)
		for key, value := range scope {
			scopes = append(scopes, key, value, row.ReceivedAt, row.ID)
		}
	}
	if err := s.deleteEvents(ctx, ids, scopes); err != nil {
		return 0, next, fmt.Errorf("prune %d events: %w", len(ids), err)
	}
	if len(rows) == limit {
		last := rows[limit-1]
		next = carillon.EventCursor{ReceivedAt: instant(last.ReceivedAt), ID: last.ID}
	}
	return len(ids), next, nil
}

// deleteEvents removes events that have no delivery. Deliveries come in the
// transaction of their event, so that there cannot be one meanwhile.
func (s *Store) deleteEvents(ctx context.Context, ids, scopes []any) error {
	if len(ids) == 0 {
		return nil
	}
	return s.write(ctx, func(tx *sqlx.Tx) error {
		for chunk := range slices.Chunk(scopes, maxParameters/scopeCount*scopeCount) {
			query := deleteEventScopes
			if more := len(chunk)/scopeCount - 1; more > 0 {
				query += ", " + values(more, scopeCount)
			}
			if _, err := exec(ctx, tx, query+")", chunk...); err != nil {
				return err
			}
		}
		_, err := exec(ctx, tx, deleteEvents+"(?"+strings.Repeat(", ?", len(ids)-1)+")", ids...)
		return err
	})
}
