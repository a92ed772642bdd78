package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const (
	returnFresh  = ` ON CONFLICT (id) DO NOTHING RETURNING id, (SELECT version FROM config WHERE id = 1) AS config_version`
	selectOwners = `SELECT id, workflow_id, owner_run, fingerprint FROM events WHERE id IN `
)

type freshRow struct {
	ID            string `db:"id"`
	ConfigVersion int64  `db:"config_version"`
}

type ownerRow struct {
	ID          string `db:"id"`
	WorkflowID  string `db:"workflow_id"`
	OwnerRun    string `db:"owner_run"`
	Fingerprint string `db:"fingerprint"`
}

// Claim is [Store.ClaimAll] of one event.
func (s *Store) Claim(ctx context.Context, c carillon.Claim) (carillon.Claimed, error) {
	claimed, err := s.ClaimAll(ctx, []carillon.Claim{c})
	if err != nil {
		return carillon.Claimed{}, err
	}
	return claimed[0], nil
}

// ClaimAll writes the rows of events and all their deliveries in one
// transaction, unless an event has an owner already, and says whose each is. The
// deliveries' event, type and ReceivedAt are their publications'. A delivery that
// is held for a subscription which takes deliveries by now is written as
// pending. Of an event that is there twice, the second is a duplicate.
func (s *Store) ClaimAll(ctx context.Context, claims []carillon.Claim) ([]carillon.Claimed, error) {
	var claimed []carillon.Claimed
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		claimed = make([]carillon.Claimed, len(claims))
		fresh, err := claimRows(ctx, tx, claims)
		if err != nil {
			return err
		}
		if err := tellOwners(ctx, tx, claims, fresh, claimed); err != nil {
			return err
		}
		var scopes []any
		var rows []carillon.Delivery
		for i, c := range claims {
			if claimed[i].Result != carillon.ClaimNew {
				continue
			}
			for key, value := range c.Publication.Event.Scope {
				scopes = append(scopes, key, value, micros(c.Publication.ReceivedAt), c.Publication.Event.ID)
			}
			for _, d := range c.Deliveries {
				d.EventID, d.EventType, d.ReceivedAt = c.Publication.Event.ID, c.Publication.Event.Type, c.Publication.ReceivedAt
				rows = append(rows, d)
			}
		}
		if err := insertRows(ctx, tx, insertEventScopes, scopes, 4); err != nil {
			return err
		}
		if _, err := keepHeld(ctx, tx, rows); err != nil {
			return err
		}
		if err := brake(ctx, tx, rows); err != nil {
			return err
		}
		columns := make([]any, 0, len(rows)*deliveryCount)
		for _, d := range rows {
			columns = append(columns, d.EventID, d.SubscriptionID, string(d.State), d.Attempts, d.Status,
				carillon.Clip(d.Error, carillon.MaxErrorBytes), d.Duration.Microseconds(), micros(d.NextAt),
				micros(d.FirstFailedAt), d.Run.WorkflowID, d.Run.RunID, d.EventType, d.Channel, d.Host, micros(d.ReceivedAt),
				cmp.Or(micros(d.UpdatedAt), micros(d.ReceivedAt)), 0, "", "")
		}
		if err := insertRows(ctx, tx, insertDeliveries, columns, deliveryCount); err != nil {
			return fmt.Errorf("write %d deliveries: %w", len(rows), err)
		}
		for i, c := range claims {
			if claimed[i].Result == carillon.ClaimNew {
				n := len(c.Deliveries)
				claimed[i].Deliveries, rows = rows[:n:n], rows[n:]
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim %d events: %w", len(claims), err)
	}
	return claimed, nil
}

// claimRows writes the rows of those events that have none, and returns
// which these are, with the config version in force. All transactions write in the order of the ids, so that none
// waits for another in a circle.
func claimRows(ctx context.Context, tx *sqlx.Tx, claims []carillon.Claim) (fresh map[string]int64, err error) {
	ordered := slices.SortedStableFunc(slices.Values(claims), func(x, y carillon.Claim) int {
		return cmp.Compare(x.Publication.Event.ID, y.Publication.Event.ID)
	})
	ordered = slices.CompactFunc(ordered, func(x, y carillon.Claim) bool {
		return x.Publication.Event.ID == y.Publication.Event.ID
	})
	fresh = make(map[string]int64, len(ordered))
	for chunk := range slices.Chunk(ordered, maxParameters/eventCount) {
		args := make([]any, 0, len(chunk)*eventCount)
		for _, c := range chunk {
			e, errs := c.Publication.Event, c.ConditionErrors
			args = append(args, e.ID, e.Type, e.Source, e.Actor, e.Subject, asJSON(e.Scope), micros(e.Time),
				micros(c.Publication.ReceivedAt), c.Publication.Fingerprint, c.Run.WorkflowID, c.Run.RunID,
				asJSON(errs[:min(len(errs), carillon.MaxConditionErrors)]))
		}
		written, err := list[freshRow](ctx, tx, insertEvents+values(len(chunk), eventCount)+returnFresh, args...)
		if err != nil {
			return nil, err
		}
		for _, row := range written {
			fresh[row.ID] = row.ConfigVersion
		}
	}
	return fresh, nil
}

// tellOwners finds out whose the events are that were not written now.
func tellOwners(
	ctx context.Context, tx *sqlx.Tx, claims []carillon.Claim, fresh map[string]int64, claimed []carillon.Claimed,
) error {
	others := map[string]bool{}
	written := map[string]string{} // fingerprints, by the id
	for i, c := range claims {
		e := c.Publication.Event
		if known, twice := written[e.ID]; twice {
			claimed[i] = carillon.Claimed{Result: carillon.ClaimDuplicate, Conflict: known != c.Publication.Fingerprint}
		} else if version, isFresh := fresh[e.ID]; isFresh {
			written[e.ID] = c.Publication.Fingerprint
			claimed[i].ConfigVersion = version
		} else {
			others[e.ID] = true
		}
	}
	if len(others) == 0 {
		return nil
	}
	owners, err := ownersOf(ctx, tx, slices.Sorted(maps.Keys(others)))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, c := range claims {
		id := c.Publication.Event.ID
		owner, ok := owners[id]
		switch {
		case !ok:
		case owner.Run.RunID == c.Run.RunID && !seen[id]:
			claimed[i].Result = carillon.ClaimOwned
		default:
			claimed[i] = carillon.Claimed{Result: carillon.ClaimDuplicate, Conflict: owner.Fingerprint != c.Publication.Fingerprint}
		}
		seen[id] = true
	}
	return nil
}

// Owners returns whose the events are, by their ids; events that were not
// claimed are left out.
func (s *Store) Owners(ctx context.Context, ids []string) (owners map[string]carillon.EventOwner, err error) {
	err = again(func() error {
		owners, err = ownersOf(ctx, s.reader, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up %d events: %w", len(ids), away(err))
	}
	return owners, nil
}

func ownersOf(ctx context.Context, q queryer, ids []string) (map[string]carillon.EventOwner, error) {
	owners := make(map[string]carillon.EventOwner, len(ids))
	for chunk := range slices.Chunk(ids, maxIDs) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		rows, err := list[ownerRow](ctx, q, selectOwners+values(1, len(chunk)), args...)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			owners[row.ID] = carillon.EventOwner{
				Run: carillon.Run{WorkflowID: row.WorkflowID, RunID: row.OwnerRun}, Fingerprint: row.Fingerprint,
			}
		}
	}
	return owners, nil
}

// insertRows writes rows whose columns follow one another in args.
func insertRows(ctx context.Context, tx *sqlx.Tx, insert string, args []any, columns int) error {
	for chunk := range slices.Chunk(args, maxParameters/columns*columns) {
		if _, err := exec(ctx, tx, insert+values(len(chunk)/columns, columns), chunk...); err != nil {
			return err
		}
	}
	return nil
}
