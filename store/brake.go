package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const (
	// takeMessage counts one more message of a minute, unless there were enough,
	// or others wait to be summed up: those of a sum that failed wait apart. Time
	// never goes back, as by another process's clock. Two of the conditions let
	// SQLite take the partial index.
	takeMessage = `INSERT INTO brakes (subscription_id, minute, sent)
		SELECT CAST(? AS TEXT), CAST(? AS BIGINT), 1 WHERE NOT EXISTS (SELECT 1 FROM deliveries
			WHERE subscription_id = ? AND workflow_id = ? AND state IN ('pending', 'retrying') AND state <> 'succeeded'
				AND state = 'pending')
		ON CONFLICT (subscription_id) DO UPDATE SET
			sent = CASE WHEN excluded.minute > brakes.minute THEN 1 ELSE brakes.sent + 1 END,
			minute = CASE WHEN excluded.minute > brakes.minute THEN excluded.minute ELSE brakes.minute END
			WHERE excluded.minute > brakes.minute OR brakes.sent < ?
		RETURNING sent`

	deleteBrake = `DELETE FROM brakes WHERE subscription_id = ?`
)

// brake has those deliveries gathered that would go beyond what their
// subscription sends in a minute. All transactions take subscriptions in one
// order: two that count several do not wait for each other.
func brake(ctx context.Context, tx *sqlx.Tx, rows []carillon.Delivery) error {
	counted := map[string][]int{}
	for i, d := range rows {
		if d.MaxPerMinute > 0 && d.State == carillon.Pending {
			counted[d.SubscriptionID] = append(counted[d.SubscriptionID], i)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(counted)) {
		gather, full := carillon.GatherWorkflowID(id), false
		for _, i := range counted[id] {
			if !full {
				minute := rows[i].UpdatedAt.Unix() / int64(time.Minute/time.Second)
				_, err := get[int](ctx, tx, takeMessage, id, minute, id, gather, rows[i].MaxPerMinute)
				if err != nil && !errors.Is(err, sql.ErrNoRows) {
					return fmt.Errorf("count a message of %s: %w", id, err)
				}
				full = err != nil
			}
			if full {
				rows[i].Run.WorkflowID = gather
			}
		}
	}
	return nil
}
