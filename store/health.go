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
	healthColumns = `failures, failing_since, open_since, probe_at, told_since`
	forgetHealth  = `failures = 0, failing_since = 0, open_since = 0, probe_at = 0`

	// The condition is that of the index.
	inTrouble = `SELECT id, ` + healthColumns + ` FROM subscriptions
		WHERE failures > 0 OR (told_since > 0 AND state = 'enabled') ORDER BY id`
	tellOutage       = `UPDATE subscriptions SET told_since = ? WHERE id = ? AND told_since = 0`
	endOutage        = `UPDATE subscriptions SET told_since = 0 WHERE id = ? AND told_since = ?`
	countEnabled     = `SELECT COUNT(*) FROM subscriptions`
	clearHealth      = `UPDATE subscriptions SET ` + forgetHealth + ` WHERE id = ? AND failures > 0`
	forgetFailures   = `UPDATE subscriptions SET ` + forgetHealth + ` WHERE id = ? AND failures > 0 AND open_since = 0`
	returnHealth     = ` RETURNING id, ` + healthColumns
	selectHealth     = `SELECT id, ` + healthColumns + ` FROM subscriptions WHERE id = ?`
	countFailuresOf  = `WITH incoming (event_id, attempts) AS (VALUES (CAST(? AS TEXT), CAST(? AS BIGINT))`
	countFailuresAdd = `), counted (n) AS (SELECT COUNT(*) FROM incoming
			JOIN deliveries d ON d.event_id = incoming.event_id AND d.subscription_id = ? AND d.owner_run = ?
				AND d.attempts < incoming.attempts)
		UPDATE subscriptions SET failures = failures + counted.n,
			failing_since = CASE WHEN failures = 0 THEN CAST(? AS BIGINT) ELSE failing_since END
		FROM counted WHERE subscriptions.id = ? AND state = 'enabled' AND counted.n > 0` + returnHealth

	openBreaker = `UPDATE subscriptions SET open_since = ?, probe_at = ?
		WHERE id = ? AND state = 'enabled' AND open_since = 0 AND failures >= ?`
	closeBreaker = `UPDATE subscriptions SET ` + forgetHealth + ` WHERE id = ? AND open_since > 0`
	// One failure more opens it again.
	halfOpenBreaker = `UPDATE subscriptions SET failures = ?, open_since = 0, probe_at = 0 WHERE id = ? AND open_since > 0`
	thisOpening     = ` AND open_since = ?`
	setProbe        = `UPDATE subscriptions SET probe_at = ? WHERE id = ? AND open_since = ?`
)

type healthRow struct {
	Failures     int   `db:"failures"`
	FailingSince int64 `db:"failing_since"`
	OpenSince    int64 `db:"open_since"`
	ProbeAt      int64 `db:"probe_at"`
	ToldSince    int64 `db:"told_since"`
}

type healthOf struct {
	ID string `db:"id"`
	healthRow
}

func (r healthRow) health() carillon.Health {
	return carillon.Health{
		Failures: r.Failures, FailingSince: instant(r.FailingSince),
		OpenSince: instant(r.OpenSince), ProbeAt: instant(r.ProbeAt), ToldSince: instant(r.ToldSince),
	}
}

// recordHealth counts the failures that the rows tell of, and forgets those of
// endpoints that took an attempt. It goes before the rows are written: an
// attempt counts once, when its number is new to its row.
func recordHealth(ctx context.Context, tx *sqlx.Tx, ownerRun string, rows []carillon.Delivery) (map[string]carillon.Health, error) {
	failed, took := map[string][]carillon.Delivery{}, map[string]bool{}
	for _, d := range rows {
		switch {
		case d.Outcome == carillon.OutcomeDelivered:
			took[d.SubscriptionID] = true
		case d.Outcome.Failed():
			failed[d.SubscriptionID] = append(failed[d.SubscriptionID], d)
		}
	}
	for id := range took {
		delete(failed, id)
	}
	known := map[string]carillon.Health{}
	// In one order everywhere: each row stays locked until the commit.
	for _, id := range slices.Sorted(maps.Keys(merge(took, failed))) {
		if took[id] {
			if _, err := exec(ctx, tx, forgetFailures, id); err != nil {
				return nil, fmt.Errorf("forget failures of %s: %w", id, err)
			}
			continue
		}
		row, err := countFailures(ctx, tx, ownerRun, id, failed[id])
		if errors.Is(err, sql.ErrNoRows) {
			continue // counted before, or it takes no deliveries
		}
		if err != nil {
			return nil, fmt.Errorf("count failures of %s: %w", id, err)
		}
		known[id] = row.health()
	}
	// An open breaker stays open, so it is looked at.
	for id := range took {
		row, err := get[healthOf](ctx, tx, selectHealth, id)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("read health of %s: %w", id, err)
		}
		known[id] = row.health()
	}
	return known, nil
}

func merge(took map[string]bool, failed map[string][]carillon.Delivery) map[string]bool {
	all := maps.Clone(took)
	for id := range failed {
		all[id] = true
	}
	return all
}

func countFailures(ctx context.Context, tx *sqlx.Tx, ownerRun, id string, failed []carillon.Delivery) (healthOf, error) {
	query := countFailuresOf
	if len(failed) > 1 {
		query += ", " + values(len(failed)-1, 2)
	}
	var args []any
	var at time.Time
	for _, d := range failed {
		args = append(args, d.EventID, d.Attempts)
		at = d.UpdatedAt
	}
	return get[healthOf](ctx, tx, query+countFailuresAdd, append(args, id, ownerRun, micros(at), id)...)
}

// InTrouble returns the health of the subscriptions whose endpoints failed
// last, or of whose outage people know, by subscription.
func (s *Store) InTrouble(ctx context.Context) (map[string]carillon.Health, error) {
	rows, err := readAll[healthOf](ctx, s, inTrouble)
	if err != nil {
		return nil, fmt.Errorf("read endpoints in trouble: %w", err)
	}
	all := make(map[string]carillon.Health, len(rows))
	for _, row := range rows {
		all[row.ID] = row.health()
	}
	return all, nil
}

// Tell notes since when people know that a subscription does not deliver.
func (s *Store) Tell(ctx context.Context, id string, since time.Time) error {
	return s.note(ctx, id, tellOutage, micros(since), id)
}

// EndOutage notes that people know that the outage of which they were told since
// then is over.
func (s *Store) EndOutage(ctx context.Context, id string, since time.Time) error {
	return s.note(ctx, id, endOutage, id, micros(since))
}

func (s *Store) note(ctx context.Context, id, query string, args ...any) error {
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		_, err := exec(ctx, tx, query, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("note the outage of %s: %w", id, err)
	}
	return nil
}

// CountHealth returns how many subscriptions are in each state of health.
func (s *Store) CountHealth(ctx context.Context) (map[carillon.HealthState]int, error) {
	total, err := readOne[int](ctx, s, countEnabled)
	if err != nil {
		return nil, fmt.Errorf("count subscriptions: %w", err)
	}
	troubled, err := s.InTrouble(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[carillon.HealthState]int{carillon.HealthFailing: 0, carillon.HealthOpen: 0}
	for _, h := range troubled {
		counts[h.State()]++
	}
	counts[carillon.HealthOK] = max(0, total-counts[carillon.HealthFailing]-counts[carillon.HealthOpen])
	return counts, nil
}

// OpenBreaker opens the breaker of an enabled subscription whose endpoint has
// failed often enough, once, and returns its health as it is then. draw draws
// the wait for the first probe out.
func (s *Store) OpenBreaker(ctx context.Context, id string, now time.Time, draw func(carillon.Duration) carillon.Duration) (
	health carillon.Health, opened bool, err error,
) {
	err = s.changeConfig(ctx, id, func(tx *sqlx.Tx, _ int64) error {
		row, err := get[subscriptionRow](ctx, tx, selectSubscription, id)
		if errors.Is(err, sql.ErrNoRows) {
			return errRollback
		}
		if err != nil {
			return subscriptionError(id, err)
		}
		sub, err := row.subscription()
		if err != nil {
			return err
		}
		health = sub.Health
		probeAt := now.Add(time.Duration(draw(carillon.Duration(sub.Retry.FirstProbe()))))
		written, err := exec(ctx, tx, openBreaker, micros(now), micros(probeAt), id, carillon.BreakerThreshold)
		if err != nil {
			return fmt.Errorf("open breaker of %s: %w", id, err)
		}
		if written == 0 {
			return errRollback
		}
		health.OpenSince, health.ProbeAt, opened = instant(micros(now)), instant(micros(probeAt)), true
		return nil
	})
	return health, opened && err == nil, err
}

// CloseBreaker closes a breaker that is open. closed is false when it was not,
// or another opening is meant. What is held for the subscription by then was
// committed before, and nothing is after.
func (s *Store) CloseBreaker(ctx context.Context, c carillon.Closing) (closed bool, err error) {
	query, args := closeBreaker, []any{c.SubscriptionID}
	if c.Half {
		query, args = halfOpenBreaker, []any{carillon.BreakerThreshold - 1, c.SubscriptionID}
	}
	if !c.OpenSince.IsZero() {
		query, args = query+thisOpening, append(args, micros(c.OpenSince))
	}
	err = s.changeConfig(ctx, c.SubscriptionID, func(tx *sqlx.Tx, _ int64) error {
		written, err := exec(ctx, tx, query, args...)
		if err != nil {
			return fmt.Errorf("close breaker of %s: %w", c.SubscriptionID, err)
		}
		if written == 0 {
			return errRollback
		}
		closed = true
		return nil
	})
	return closed && err == nil, err
}

// SetProbe says when the next probe of an opening is due.
func (s *Store) SetProbe(ctx context.Context, id string, openSince, at time.Time) error {
	err := again(func() error {
		_, err := exec(ctx, s.writer, setProbe, micros(at), id, micros(openSince))
		return err
	})
	if err != nil {
		return fmt.Errorf("set the next probe of %s: %w", id, away(err))
	}
	return nil
}
