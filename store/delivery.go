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
	"github.com/carillon-dev/carillon/schema"
)

const deliveryColumns = `event_id, subscription_id, state, attempts, status, error, duration, next_at, first_failed_at,
	workflow_id, owner_run, event_type, channel, host, received_at, updated_at, redeliveries, redelivery_key, progress`

const (
	insertDeliveries = `INSERT INTO deliveries (` + deliveryColumns + `) VALUES `
	deliveryCount    = 19 // columns

	selectDelivery = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE event_id = ? AND subscription_id = ?`
	pageOfEvent    = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE event_id = ? AND subscription_id > ?`
	orderOfEvent   = ` ORDER BY subscription_id LIMIT ?`
	pageOfRun      = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE event_id = ? AND owner_run = ?
		AND subscription_id > ? ORDER BY subscription_id LIMIT ?`

	listDeliveries         = `SELECT ` + deliveryColumns + ` FROM deliveries`
	orderDeliveries        = ` ORDER BY received_at DESC, event_id DESC, subscription_id DESC LIMIT ?`
	deliverySubscription   = `subscription_id = ?`
	deliveryEvent          = `event_id = ?`
	deliverySince          = `received_at >= ?`
	deliveryUntil          = `received_at < ?`
	deliveryBefore         = `(received_at, event_id, subscription_id) < (?, ?, ?)`
	deliveryNotSucceeded   = `state <> 'succeeded'` // lets SQLite take the partial indexes
	deliveryStatesTemplate = `state IN ('%s')`

	// The list of what a confinement of one value holds, in the order of the
	// index of scopes. SQLite takes the tables of a CROSS JOIN in their order.
	listWithin = `SELECT ` + deliveryColumns + ` FROM (SELECT received_at AS place_at, event_id AS place_event FROM event_scopes
		WHERE scope_key = ? AND scope_value = ?) place CROSS JOIN deliveries`
	orderWithin  = ` ORDER BY place_at DESC, place_event DESC, subscription_id DESC LIMIT ?`
	withinPlace  = `event_id = place_event`
	withinSince  = `place_at >= ?`
	withinUntil  = `place_at < ?`
	withinBefore = `(place_at, place_event) <= (?, ?)` // lets the index begin there

	// The types of the first row are those of all. A deletion of the
	// subscription canceled its deliveries, and a run that has not learned of it
	// yet does not take that back.
	recordBegin  = `WITH incoming (event_id, subscription_id, state, attempts, status, error, duration, next_at, first_failed_at, updated_at, workflow_id, progress) AS (VALUES `
	recordFirst  = `(CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT))`
	recordFinish = `) UPDATE deliveries SET state = incoming.state, attempts = incoming.attempts, status = incoming.status,
		error = incoming.error, duration = incoming.duration, next_at = incoming.next_at,
		first_failed_at = incoming.first_failed_at, updated_at = incoming.updated_at, progress = incoming.progress,
		workflow_id = CASE WHEN incoming.workflow_id = '' THEN deliveries.workflow_id ELSE incoming.workflow_id END
		FROM incoming
		WHERE deliveries.event_id = incoming.event_id AND deliveries.subscription_id = incoming.subscription_id
			AND deliveries.owner_run = ?
			AND (deliveries.state <> 'canceled' OR incoming.state NOT IN ('pending', 'retrying', 'held')
				OR EXISTS (SELECT 1 FROM subscriptions s WHERE s.id = incoming.subscription_id))`
	recordCount = 12 // columns
)

type deliveryRow struct {
	EventID        string `db:"event_id"`
	SubscriptionID string `db:"subscription_id"`
	State          string `db:"state"`
	Attempts       int    `db:"attempts"`
	Status         int    `db:"status"`
	Error          string `db:"error"`
	Duration       int64  `db:"duration"`
	NextAt         int64  `db:"next_at"`
	FirstFailedAt  int64  `db:"first_failed_at"`
	WorkflowID     string `db:"workflow_id"`
	OwnerRun       string `db:"owner_run"`
	EventType      string `db:"event_type"`
	Channel        string `db:"channel"`
	Host           string `db:"host"`
	ReceivedAt     int64  `db:"received_at"`
	UpdatedAt      int64  `db:"updated_at"`
	Redeliveries   int    `db:"redeliveries"`
	RedeliveryKey  string `db:"redelivery_key"`
	Progress       string `db:"progress"`
}

func (r deliveryRow) delivery() carillon.Delivery {
	return carillon.Delivery{
		EventID: r.EventID, SubscriptionID: r.SubscriptionID, State: carillon.DeliveryState(r.State),
		Attempts: r.Attempts, Status: r.Status, Error: r.Error, Duration: time.Duration(r.Duration) * time.Microsecond,
		NextAt: instant(r.NextAt), FirstFailedAt: instant(r.FirstFailedAt),
		Run:       carillon.Run{WorkflowID: r.WorkflowID, RunID: r.OwnerRun},
		EventType: r.EventType, Channel: r.Channel, Host: r.Host,
		ReceivedAt: instant(r.ReceivedAt), UpdatedAt: instant(r.UpdatedAt), Redeliveries: r.Redeliveries, RedeliveryKey: r.RedeliveryKey,
		Progress: progress(r.Progress),
	}
}

func progress(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

func deliveries(rows []deliveryRow) []carillon.Delivery {
	all := make([]carillon.Delivery, len(rows))
	for i, row := range rows {
		all[i] = row.delivery()
	}
	return all
}

// Delivery returns one delivery, or an error of [carillon.CodeNotFound].
func (s *Store) Delivery(ctx context.Context, eventID, subscriptionID string) (carillon.Delivery, error) {
	var w where
	w.andDeliveries(carillon.ConfinementOf(ctx), s.driver)
	row, err := readOne[deliveryRow](ctx, s, selectDelivery+w.more(), append([]any{eventID, subscriptionID}, w.args...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return carillon.Delivery{}, carillon.Errorf(carillon.CodeNotFound,
			"there is no delivery of event %q to subscription %q", eventID, subscriptionID)
	}
	if err != nil {
		return carillon.Delivery{}, fmt.Errorf("read delivery %s/%s: %w", eventID, subscriptionID, err)
	}
	return row.delivery(), nil
}

// EventDeliveries returns at most limit deliveries of an event in the order of
// their subscriptions, those after the given one.
func (s *Store) EventDeliveries(ctx context.Context, eventID, after string, limit int) ([]carillon.Delivery, error) {
	var w where
	w.andDeliveries(carillon.ConfinementOf(ctx), s.driver)
	args := append(append([]any{eventID, after}, w.args...), limit)
	rows, err := readAll[deliveryRow](ctx, s, pageOfEvent+w.more()+orderOfEvent, args...)
	if err != nil {
		return nil, fmt.Errorf("list deliveries of event %s: %w", eventID, err)
	}
	return deliveries(rows), nil
}

// DeliveryPage is [Store.EventDeliveries] of the deliveries that a run owns.
func (s *Store) DeliveryPage(ctx context.Context, eventID, ownerRun, after string, limit int) ([]carillon.Delivery, error) {
	rows, err := readAll[deliveryRow](ctx, s, pageOfRun, eventID, ownerRun, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list deliveries of event %s: %w", eventID, err)
	}
	return deliveries(rows), nil
}

// ListDeliveries returns the deliveries that the filter chooses, newest first.
func (s *Store) ListDeliveries(ctx context.Context, f carillon.DeliveryFilter) ([]carillon.Delivery, error) {
	query, args, err := deliveriesQuery(f, carillon.ConfinementOf(ctx), s.driver)
	if err != nil {
		return nil, err
	}
	rows, err := readAll[deliveryRow](ctx, s, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return deliveries(rows), nil
}

func deliveriesQuery(f carillon.DeliveryFilter, to carillon.Confinement, driver schema.Driver) (query string, args []any, err error) {
	var w where
	w.andDeliveries(to, driver)
	query, order := listDeliveries, orderDeliveries
	if place, ok := placeWithin(f, to); ok {
		query, order, args = listWithin, orderWithin, place
		w.andPlace(f)
	}
	if len(f.States) > 0 {
		// Written out, where other values are placeholders: a planner that does
		// not know them cannot take a partial index.
		names := make([]string, len(f.States))
		for i, state := range f.States {
			if !slices.Contains(carillon.DeliveryStates, state) {
				return "", nil, fmt.Errorf("list deliveries: %q is no state", state)
			}
			names[i] = string(state)
		}
		w.and(fmt.Sprintf(deliveryStatesTemplate, strings.Join(names, "', '")))
		if !slices.Contains(f.States, carillon.Succeeded) {
			w.and(deliveryNotSucceeded)
		}
	}
	if f.SubscriptionID != "" {
		w.and(deliverySubscription, f.SubscriptionID)
	}
	if f.EventID != "" {
		w.and(deliveryEvent, f.EventID)
	}
	if !f.Since.IsZero() {
		w.and(deliverySince, micros(f.Since))
	}
	if !f.Until.IsZero() {
		w.and(deliveryUntil, micros(f.Until))
	}
	if f.Before != (carillon.DeliveryCursor{}) {
		w.and(deliveryBefore, micros(f.Before.ReceivedAt), f.Before.EventID, f.Before.SubscriptionID)
	}
	return query + w.String() + order, append(append(args, w.args...), f.Limit), nil
}

// placeWithin returns the key and the value of the index that a list of all
// deliveries within is read from. Of a subscription, of an event and in the
// states that have indexes there are few.
func placeWithin(f carillon.DeliveryFilter, to carillon.Confinement) (place []any, ok bool) {
	if f.SubscriptionID != "" || f.EventID != "" || len(f.States) > 0 && !slices.Contains(f.States, carillon.Succeeded) {
		return nil, false
	}
	for _, key := range to.Keys() {
		if len(to[key]) == 1 {
			return []any{key, to[key][0]}, true
		}
	}
	return nil, false
}

// andPlace says of the place in the index what the filter says of deliveries.
func (w *where) andPlace(f carillon.DeliveryFilter) {
	w.and(withinPlace)
	if !f.Since.IsZero() {
		w.and(withinSince, micros(f.Since))
	}
	if !f.Until.IsZero() {
		w.and(withinUntil, micros(f.Until))
	}
	if f.Before != (carillon.DeliveryCursor{}) {
		w.and(withinBefore, micros(f.Before.ReceivedAt), f.Before.EventID)
	}
}

// Record writes what became of deliveries: state, attempts, status, error,
// duration, times, and, where a workflow id is given, which run answers for it
// from now on. Rows that the run does not own, or that are not there, are
// passed over. Recording the same again changes nothing.
//
// A delivery is held only for a subscription that takes none: the others are
// made pending, and their subscriptions returned, to be attempted at once.
//
// Rows with an Outcome tell of their endpoint's health, in the same
// transaction; without any, and with nothing to hold, it is one statement.
func (s *Store) Record(ctx context.Context, ownerRun string, rows []carillon.Delivery) (out carillon.Recorded, err error) {
	if !slices.ContainsFunc(rows, func(d carillon.Delivery) bool {
		return d.State == carillon.Held && !d.PutBack || d.Outcome != ""
	}) {
		err := again(func() error { return record(ctx, s.writer, ownerRun, rows) })
		return out, away(err)
	}
	err = s.write(ctx, func(tx *sqlx.Tx) error {
		rows = slices.Clone(rows)
		var told []string // both to be locked, in one order
		for _, d := range rows {
			if d.State == carillon.Held && !d.PutBack || d.Outcome != "" {
				told = append(told, d.SubscriptionID)
			}
		}
		if err := lockAll(ctx, tx, told); err != nil {
			return err
		}
		if out.Reopened, err = keepHeld(ctx, tx, rows); err != nil {
			return err
		}
		if out.Health, err = recordHealth(ctx, tx, ownerRun, rows); err != nil {
			return err
		}
		return record(ctx, tx, ownerRun, rows)
	})
	return out, err
}

func record(ctx context.Context, q queryer, ownerRun string, rows []carillon.Delivery) error {
	return recordAs(ctx, q, recordFinish, rows, ownerRun)
}

// recordAs writes the rows by the statement that ends with finish, which takes
// the last arguments.
func recordAs(ctx context.Context, q queryer, finish string, rows []carillon.Delivery, last ...any) error {
	for chunk := range slices.Chunk(rows, maxParameters/recordCount-1) {
		query := recordBegin + recordFirst
		if len(chunk) > 1 {
			query += ", " + values(len(chunk)-1, recordCount)
		}
		args := make([]any, 0, len(chunk)*recordCount+len(last))
		for _, d := range chunk {
			args = append(args, d.EventID, d.SubscriptionID, string(d.State), d.Attempts, d.Status,
				carillon.Clip(d.Error, carillon.MaxErrorBytes), d.Duration.Microseconds(), micros(d.NextAt),
				micros(d.FirstFailedAt), micros(d.UpdatedAt), d.Run.WorkflowID, string(d.Progress))
		}
		if _, err := exec(ctx, q, query+finish, append(args, last...)...); err != nil {
			return fmt.Errorf("record %d deliveries: %w", len(chunk), err)
		}
	}
	return nil
}
