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
	// The second condition lets SQLite take the partial index.
	selectGathered = `SELECT ` + deliveryColumns + ` FROM deliveries
		WHERE subscription_id = ? AND state IN ('pending', 'retrying') AND state <> 'succeeded' AND workflow_id = ?
		ORDER BY received_at, event_id LIMIT ?`

	// What arrived although it was canceled meanwhile has arrived. The run whose
	// history has the newest attempt becomes the row's.
	settleFinish = `) UPDATE deliveries SET state = incoming.state, attempts = incoming.attempts, status = incoming.status,
		error = incoming.error, duration = incoming.duration, next_at = incoming.next_at,
		first_failed_at = incoming.first_failed_at, updated_at = incoming.updated_at, progress = incoming.progress, owner_run = CAST(? AS TEXT)
		FROM incoming
		WHERE deliveries.event_id = incoming.event_id AND deliveries.subscription_id = incoming.subscription_id
			AND deliveries.workflow_id = ?
			AND (deliveries.state IN ('pending', 'retrying') OR deliveries.state = 'canceled' AND incoming.state = 'succeeded')`

	gatherAgain = `UPDATE deliveries SET state = 'pending', workflow_id = ?, attempts = 0, error = '', first_failed_at = 0, progress = '',
		next_at = 0, updated_at = ?`

	cancelGathered = `UPDATE deliveries SET state = 'canceled', error = 'canceled', next_at = 0, updated_at = ?
		WHERE event_id = ? AND subscription_id = ? AND workflow_id = ? AND state IN ('pending', 'retrying')`
)

// Gathered returns the deliveries under way that the batches of a subscription
// carry, at most limit, the oldest first.
func (s *Store) Gathered(ctx context.Context, subscription string, limit int) ([]carillon.Delivery, error) {
	rows, err := readAll[deliveryRow](ctx, s, selectGathered, subscription, carillon.GatherWorkflowID(subscription), limit)
	if err != nil {
		return nil, fmt.Errorf("read gathered deliveries of %s: %w", subscription, err)
	}
	return deliveries(rows), nil
}

// Settle is [Store.Record] of deliveries that a run gathered: rows that are no
// more under way there are passed over, and the others are the run's from now
// on. One row of a request has an Outcome, so that the request counts once.
func (s *Store) Settle(ctx context.Context, run carillon.Run, rows []carillon.Delivery) (out carillon.Recorded, err error) {
	err = s.write(ctx, func(tx *sqlx.Tx) error {
		rows := slices.Clone(rows)
		out = carillon.Recorded{}
		var err error
		if out.Reopened, err = keepHeld(ctx, tx, rows); err != nil {
			return err
		}
		if i := slices.IndexFunc(rows, func(d carillon.Delivery) bool { return d.Outcome != "" }); i >= 0 {
			if out.Health, err = settleHealth(ctx, tx, rows[i]); err != nil {
				return err
			}
		}
		return recordAs(ctx, tx, settleFinish, rows, run.RunID, run.WorkflowID)
	})
	return out, err
}

// settleHealth counts the request that a row tells of.
func settleHealth(ctx context.Context, tx *sqlx.Tx, d carillon.Delivery) (map[string]carillon.Health, error) {
	row, err := get[deliveryRow](ctx, tx, selectDelivery, d.EventID, d.SubscriptionID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read delivery: %w", err)
	}
	return recordHealth(ctx, tx, row.OwnerRun, []carillon.Delivery{d})
}

// Regather hands a backlog to the run that gathers its subscription's events, to
// be tried as if for the first time, and returns how many deliveries that are.
func (s *Store) Regather(ctx context.Context, b carillon.Backlog, now time.Time) (n int, err error) {
	w := backlogWhere(b)
	err = s.write(ctx, func(tx *sqlx.Tx) error {
		written, err := exec(ctx, tx, gatherAgain+w.String(),
			append([]any{carillon.GatherWorkflowID(b.SubscriptionID), micros(now)}, w.args...)...)
		n = int(written)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("gather the backlog of %s: %w", b.SubscriptionID, err)
	}
	return n, nil
}

// CancelGathered takes a delivery out of its subscription's batches. Its error
// is [carillon.CodeConflict] when it is not under way there.
func (s *Store) CancelGathered(ctx context.Context, eventID, subscription string, now time.Time) error {
	var written int64
	err := s.write(ctx, func(tx *sqlx.Tx) (err error) {
		written, err = exec(ctx, tx, cancelGathered, micros(now), eventID, subscription, carillon.GatherWorkflowID(subscription))
		return err
	})
	if err != nil {
		return fmt.Errorf("cancel delivery %s/%s: %w", eventID, subscription, err)
	}
	if written == 0 {
		return carillon.Errorf(carillon.CodeConflict, "the delivery is not under way any more")
	}
	return nil
}
