package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

// Claim writes an event's row and all its deliveries in one transaction,
// unless the event has an owner already, and says whose it is. The deliveries'
// event, type and ReceivedAt are the publication's. A delivery that is held for
// a subscription which takes deliveries by now is written as pending.
//
// For a new claim it returns the config version that was in force, too: every
// change that was committed before is in it.
func (s *Store) Claim(ctx context.Context, c carillon.Claim) (result carillon.ClaimResult, configVersion int64, _ error) {
	e := c.Publication.Event
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		errs := c.ConditionErrors[:min(len(c.ConditionErrors), carillon.MaxConditionErrors)]
		version, err := get[int64](ctx, tx, insertEvent, e.ID, e.Type, e.Source, e.Actor, e.Subject, asJSON(e.Scope),
			micros(e.Time), micros(c.Publication.ReceivedAt), c.Publication.Fingerprint, c.Run.WorkflowID, c.Run.RunID,
			asJSON(errs))
		if errors.Is(err, sql.ErrNoRows) {
			owner, err := get[string](ctx, tx, selectEventOwner, e.ID)
			if err != nil {
				return err
			}
			result = carillon.ClaimDuplicate
			if owner == c.Run.RunID {
				result = carillon.ClaimOwned
			}
			return errRollback
		}
		if err != nil {
			return err
		}
		result, configVersion = carillon.ClaimNew, version
		if err := writeEventScopes(ctx, tx, c.Publication); err != nil {
			return err
		}
		return writeDeliveries(ctx, tx, c)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("claim event %s: %w", e.ID, err)
	}
	return result, configVersion, nil
}

func writeEventScopes(ctx context.Context, tx *sqlx.Tx, p carillon.Publication) error {
	if len(p.Event.Scope) == 0 {
		return nil
	}
	var args []any
	for key, value := range p.Event.Scope {
		args = append(args, key, value, micros(p.ReceivedAt), p.Event.ID)
	}
	_, err := exec(ctx, tx, insertEventScopes+values(len(p.Event.Scope), 4), args...)
	return err
}

func writeDeliveries(ctx context.Context, tx *sqlx.Tx, c carillon.Claim) error {
	c.Deliveries = slices.Clone(c.Deliveries)
	if _, err := keepHeld(ctx, tx, c.Deliveries); err != nil {
		return err
	}
	e, received := c.Publication.Event, micros(c.Publication.ReceivedAt)
	for chunk := range slices.Chunk(c.Deliveries, maxParameters/deliveryCount) {
		args := make([]any, 0, len(chunk)*deliveryCount)
		for _, d := range chunk {
			args = append(args, e.ID, d.SubscriptionID, string(d.State), d.Attempts, d.Status,
				carillon.Clip(d.Error, carillon.MaxErrorBytes), d.Duration.Microseconds(), micros(d.NextAt),
				micros(d.FirstFailedAt), d.Run.WorkflowID, d.Run.RunID, e.Type, d.Channel, d.Host, received,
				cmp.Or(micros(d.UpdatedAt), received), 0, "")
		}
		if _, err := exec(ctx, tx, insertDeliveries+values(len(chunk), deliveryCount), args...); err != nil {
			return fmt.Errorf("write %d deliveries: %w", len(chunk), err)
		}
	}
	return nil
}
