package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

// The newest deliveries are looked at first: on an endpoint that works one of
// them succeeded. On one that does not, this reads all that are kept of the
// subscription, which happens once, before it is disabled.
const selectSuccessSince = `SELECT 1 FROM deliveries WHERE subscription_id = ? AND state = 'succeeded' AND updated_at >= ?
	ORDER BY received_at DESC, event_id DESC LIMIT 1`

const disableSubscription = `UPDATE subscriptions SET state = 'disabled', disabled_by = ?, disabled_reason = ?, ` + forgetHealth + `,
	told_since = CASE WHEN told_since = 0 THEN CAST(? AS BIGINT) ELSE told_since END, version = version + 1, updated_at = ? WHERE id = ?`

// Disable disables a subscription that is enabled or paused under the
// generation that the decision was made under, if the policy says so, and
// writes an audit entry. The same run deciding again changes nothing and gets
// the same answer, as long as the subscription stays disabled.
func (s *Store) Disable(ctx context.Context, d carillon.Disable) (carillon.DisableResult, error) {
	if d.Policy == carillon.DisableNever {
		return carillon.DisableResult{}, nil
	}
	var result carillon.DisableResult
	err := s.changeConfig(ctx, d.SubscriptionID, func(tx *sqlx.Tx, _ int64) error {
		row, err := get[subscriptionRow](ctx, tx, selectSubscription, d.SubscriptionID)
		if errors.Is(err, sql.ErrNoRows) {
			return errRollback
		}
		if err != nil {
			return subscriptionError(d.SubscriptionID, err)
		}
		before, err := row.subscription()
		if err != nil {
			return err
		}
		if before.Generation != d.Generation {
			return errRollback
		}
		if before.State == carillon.Disabled {
			if before.DisabledBy == d.Run {
				result = carillon.DisableResult{Disabled: true, Subscription: before}
			}
			return errRollback
		}
		if d.Policy == carillon.DisableUnreachable && !d.Gone {
			reached, err := succeededSince(ctx, tx, d.SubscriptionID, d.FirstFailedAt)
			if err != nil {
				return err
			}
			if reached {
				return errRollback
			}
		}
		after := before
		after.Health = carillon.Health{ToldSince: before.Health.ToldSince}
		if after.Health.ToldSince.IsZero() {
			after.Health.ToldSince = instant(micros(d.Now))
		}
		after.State, after.DisabledBy, after.Version, after.UpdatedAt = carillon.Disabled, d.Run, before.Version+1, d.Now
		after.DisabledReason = carillon.Clip(d.Reason, carillon.MaxErrorBytes)
		_, err = exec(ctx, tx, disableSubscription, d.Run, after.DisabledReason, micros(d.Now), micros(d.Now), d.SubscriptionID)
		if err != nil {
			return fmt.Errorf("disable subscription %s: %w", d.SubscriptionID, err)
		}
		result = carillon.DisableResult{Disabled: true, Subscription: after}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: d.Now, Actor: d.Run, Action: "subscription.disabled", Object: d.SubscriptionID, Detail: after.DisabledReason,
		}, viewOf(before), viewOf(after))
	})
	if err != nil {
		return carillon.DisableResult{}, err
	}
	return result, nil
}

func succeededSince(ctx context.Context, tx *sqlx.Tx, subscription string, since time.Time) (bool, error) {
	_, err := get[int](ctx, tx, selectSuccessSince, subscription, micros(since))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a success of subscription %s: %w", subscription, err)
	}
	return true, nil
}
