package store

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

// RotateSecret replaces the endpoint of a subscription by the rotation's. The
// audit entry says how long the old secret goes on signing, and nothing of
// either. The errors are those of [Store.UpdateSubscription].
func (s *Store) RotateSecret(ctx context.Context, r carillon.Rotation) (carillon.Subscription, error) {
	var after carillon.Subscription
	err := s.changeConfig(ctx, r.SubscriptionID, func(tx *sqlx.Tx, _ int64) error {
		before, err := s.forChange(ctx, tx, r.SubscriptionID, r.IfVersion)
		if err != nil {
			return err
		}
		after = before
		after.Endpoint, after.Unreadable = r.Endpoint, false
		after.Version, after.UpdatedAt = before.Version+1, r.Now
		if err := s.replace(ctx, tx, after); err != nil {
			return err
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: r.Now, Actor: r.Actor, Action: "subscription.secret_rotated", Object: r.SubscriptionID,
			Detail: "replaced the signing secret, with an overlap of " + carillon.Duration(r.Overlap).String(),
		}, viewOf(before), viewOf(after))
	})
	if err != nil {
		return carillon.Subscription{}, err
	}
	return after, nil
}
