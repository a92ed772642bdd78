package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

// This reads all deliveries that are under way, which are few in good times;
// the first of the conditions on state lets SQLite take the partial index.
const overdueDeliveries = `SELECT ` + deliveryColumns + ` FROM deliveries
	WHERE state <> 'succeeded' AND state IN ('pending', 'retrying') AND updated_at < ? AND next_at < ?
		AND (received_at, event_id, subscription_id) > (?, ?, ?)
	ORDER BY received_at, event_id, subscription_id LIMIT ?`

const closeDelivery = `UPDATE deliveries SET state = ?, error = ?, next_at = 0, updated_at = ?
	WHERE event_id = ? AND subscription_id = ? AND owner_run = ? AND workflow_id = ? AND updated_at = ?
		AND state IN ('pending', 'retrying')`

// OverdueDeliveries returns at most limit deliveries, the oldest first and
// those after the given place, that are under way and of which nothing was
// heard since the given time, although the next attempt was due before.
func (s *Store) OverdueDeliveries(ctx context.Context, since time.Time, after carillon.DeliveryCursor, limit int) (
	[]carillon.Delivery, error,
) {
	rows, err := readAll[deliveryRow](ctx, s, overdueDeliveries, micros(since), micros(since),
		micros(after.ReceivedAt), after.EventID, after.SubscriptionID, limit)
	if err != nil {
		return nil, fmt.Errorf("list overdue deliveries: %w", err)
	}
	return deliveries(rows), nil
}

// CloseDeliveries gives deliveries, as they were read, the states and errors
// that they now have, and returns which it changed: not those that were
// recorded, or taken over by another run, since they were read.
func (s *Store) CloseDeliveries(ctx context.Context, rows []carillon.Delivery, now time.Time) (closed []carillon.Delivery, err error) {
	err = s.write(ctx, func(tx *sqlx.Tx) error {
		closed = nil
		for _, d := range rows {
			n, err := exec(ctx, tx, closeDelivery, string(d.State), carillon.Clip(d.Error, carillon.MaxErrorBytes), micros(now),
				d.EventID, d.SubscriptionID, d.Run.RunID, d.Run.WorkflowID, micros(d.UpdatedAt))
			if err != nil {
				return err
			}
			if n > 0 {
				closed = append(closed, d)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("close %d deliveries: %w", len(rows), err)
	}
	return closed, nil
}
