package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const (
	// keepHolding locks subscriptions that take no deliveries until the
	// transaction ends, so that none is enabled, nor its breaker closed, between
	// the look at it and the commit of what is held for it.
	keepHolding      = `UPDATE subscriptions SET version = version WHERE (state <> 'enabled' OR open_since > 0) AND id = ?`
	lockSubscription = `UPDATE subscriptions SET version = version WHERE id = ?`

	selectBacklog = `SELECT ` + deliveryColumns + ` FROM deliveries`
	countBacklog  = `SELECT COUNT(*) FROM deliveries`
	orderBacklog  = ` ORDER BY received_at, event_id LIMIT ?`
	// What failed after it was asked for has had its turn.
	backlogTurn = `(state = 'held' OR updated_at < ?)`

	reclaimDelivery = `UPDATE deliveries SET state = 'pending', redeliveries = redeliveries + 1, redelivery_key = ?, workflow_id = ?,
		owner_run = ?, attempts = CASE WHEN ? THEN attempts ELSE 0 END, first_failed_at = 0, next_at = 0, updated_at = ?
		WHERE event_id = ? AND subscription_id = ? AND redeliveries = ? AND state IN `

	holdingEnabled = `SELECT DISTINCT d.subscription_id FROM deliveries d
		JOIN subscriptions s ON s.id = d.subscription_id
		WHERE d.state = 'held' AND d.state <> 'succeeded' AND s.state = 'enabled' AND s.open_since = 0`
)

// maxIDs bounds the parameters of one statement.
const maxIDs = 1000

// holding returns which of the subscriptions take no deliveries, and keeps it
// so until the transaction ends.
func holding(ctx context.Context, tx *sqlx.Tx, ids []string) (map[string]bool, error) {
	held := map[string]bool{}
	for _, id := range inOrder(ids) {
		kept, err := exec(ctx, tx, keepHolding, id)
		if err != nil {
			return nil, fmt.Errorf("look at subscriptions: %w", err)
		}
		held[id] = kept > 0
	}
	return held, nil
}

// inOrder returns the ids once each, in the order in which all transactions lock
// the rows of subscriptions: two that lock several do not wait for each other.
func inOrder(ids []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(ids)))
}

// lockAll locks the rows of subscriptions until the transaction ends.
func lockAll(ctx context.Context, tx *sqlx.Tx, ids []string) error {
	for _, id := range inOrder(ids) {
		if _, err := exec(ctx, tx, lockSubscription, id); err != nil {
			return fmt.Errorf("lock subscription %s: %w", id, err)
		}
	}
	return nil
}

// keepHeld makes those of the rows pending whose subscription takes deliveries
// by now, and returns their subscriptions. Rows that are put back stay held: the
// run that tried them owns the backlog.
func keepHeld(ctx context.Context, tx *sqlx.Tx, rows []carillon.Delivery) (reopened []string, err error) {
	var ids []string
	for _, d := range rows {
		if d.State == carillon.Held && !d.PutBack {
			ids = append(ids, d.SubscriptionID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	held, err := holding(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	for i, d := range rows {
		if d.State == carillon.Held && !d.PutBack && !held[d.SubscriptionID] {
			rows[i].State, rows[i].Error = carillon.Pending, ""
			reopened = append(reopened, d.SubscriptionID)
		}
	}
	return reopened, nil
}

// Backlog returns the oldest deliveries of a backlog, at most limit, and how
// many there are in all.
func (s *Store) Backlog(ctx context.Context, b carillon.Backlog, limit int) (oldest []carillon.Delivery, total int, err error) {
	w := backlogWhere(b)
	total, err = readOne[int](ctx, s, countBacklog+w.String(), w.args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count backlog of %s: %w", b.SubscriptionID, err)
	}
	rows, err := readAll[deliveryRow](ctx, s, selectBacklog+w.String()+orderBacklog, append(w.args, limit)...)
	if err != nil {
		return nil, 0, fmt.Errorf("read backlog of %s: %w", b.SubscriptionID, err)
	}
	return deliveries(rows), total, nil
}

func backlogWhere(b carillon.Backlog) where {
	var w where
	w.and(deliverySubscription, b.SubscriptionID)
	w.and(deliveryNotSucceeded)
	states := make([]any, len(b.States))
	for i, state := range b.States {
		states[i] = string(state)
	}
	w.and("state IN "+values(1, len(states)), states...)
	w.and(backlogTurn, micros(b.Before))
	if !b.Since.IsZero() {
		w.and(deliverySince, micros(b.Since))
	}
	if !b.Until.IsZero() {
		w.and(deliveryUntil, micros(b.Until))
	}
	return w
}

// Reclaim hands a delivery to the run of its redelivery. ok is false when
// another redelivery has the number, or the delivery is in none of the states;
// the same run may ask again.
func (s *Store) Reclaim(ctx context.Context, r carillon.Redelivery, run carillon.Run, now time.Time) (d carillon.Delivery, ok bool, err error) {
	err = s.write(ctx, func(tx *sqlx.Tx) error {
		args := []any{r.Key, run.WorkflowID, run.RunID, r.Probe, micros(now), r.EventID, r.SubscriptionID, r.Number - 1}
		for _, state := range r.From {
			args = append(args, string(state))
		}
		written, err := exec(ctx, tx, reclaimDelivery+values(1, len(r.From)), args...)
		if err != nil {
			return fmt.Errorf("reclaim delivery: %w", err)
		}
		row, err := get[deliveryRow](ctx, tx, selectDelivery, r.EventID, r.SubscriptionID)
		if errors.Is(err, sql.ErrNoRows) {
			return errRollback
		}
		if err != nil {
			return fmt.Errorf("read delivery: %w", err)
		}
		d = row.delivery()
		ok = written == 1 || d.Run.RunID == run.RunID
		return nil
	})
	return d, ok, err
}

// Holding returns the subscriptions that take deliveries and have held ones:
// those whose recovery was interrupted before it began.
func (s *Store) Holding(ctx context.Context) ([]string, error) {
	ids, err := readAll[string](ctx, s, holdingEnabled)
	if err != nil {
		return nil, fmt.Errorf("read held subscriptions: %w", err)
	}
	return ids, nil
}
