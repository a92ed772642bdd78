package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/carillon-dev/carillon"
)

const (
	insertEvents = `INSERT INTO events (id, type, source, actor, subject, scope, occurred_at, received_at, fingerprint,
		workflow_id, owner_run, condition_errors) VALUES `
	eventCount        = 12 // columns
	insertEventScopes = `INSERT INTO event_scopes (scope_key, scope_value, received_at, event_id) VALUES `

	eventColumns = `e.id, e.type, e.source, e.actor, e.subject, e.scope, e.occurred_at, e.received_at, e.fingerprint,
		e.workflow_id, e.owner_run, e.condition_errors`
	selectEvent = `SELECT ` + eventColumns + ` FROM events e WHERE e.id = ?`

	// Whether the event is known, beside the config version: most are new.
	selectAccepted = `SELECT c.version AS config_version, EXISTS (SELECT 1 FROM events WHERE id = ?) AS known
		FROM config c WHERE c.id = 1`

	// The lists of events, newest first: of all, and of one scope through its
	// index.
	listEvents        = `SELECT ` + eventColumns + ` FROM events e`
	orderEvents       = ` ORDER BY e.received_at DESC, e.id DESC LIMIT ?`
	eventBefore       = `(e.received_at, e.id) < (?, ?)`
	eventSince        = `e.received_at >= ?`
	eventUntil        = `e.received_at < ?`
	listScopedEvents  = `SELECT ` + eventColumns + ` FROM event_scopes s JOIN events e ON e.id = s.event_id`
	orderScopedEvents = ` ORDER BY s.received_at DESC, s.event_id DESC LIMIT ?`
	scopedEventScope  = `s.scope_key = ? AND s.scope_value = ?`
	scopedEventBefore = `(s.received_at, s.event_id) < (?, ?)`
	scopedEventSince  = `s.received_at >= ?`
	scopedEventUntil  = `s.received_at < ?`

	eventType    = `e.type = ?`
	eventSource  = `e.source = ?`
	eventSubject = `e.subject = ? AND e.subject <> ''` // the second half lets SQLite take the partial index
	eventScope   = `EXISTS (SELECT 1 FROM event_scopes o WHERE o.scope_key = ? AND o.scope_value = ?
		AND o.received_at = e.received_at AND o.event_id = e.id)`
)

type eventRow struct {
	ID              string `db:"id"`
	Type            string `db:"type"`
	Source          string `db:"source"`
	Actor           string `db:"actor"`
	Subject         string `db:"subject"`
	Scope           string `db:"scope"`
	OccurredAt      int64  `db:"occurred_at"`
	ReceivedAt      int64  `db:"received_at"`
	Fingerprint     string `db:"fingerprint"`
	WorkflowID      string `db:"workflow_id"`
	OwnerRun        string `db:"owner_run"`
	ConditionErrors string `db:"condition_errors"`
}

func (r eventRow) event() (carillon.EventRow, error) {
	row := carillon.EventRow{
		Event: carillon.Event{
			ID: r.ID, Type: r.Type, Source: r.Source, Actor: r.Actor, Subject: r.Subject, Time: instant(r.OccurredAt),
		},
		ReceivedAt:  instant(r.ReceivedAt),
		Fingerprint: r.Fingerprint,
		Run:         carillon.Run{WorkflowID: r.WorkflowID, RunID: r.OwnerRun},
	}
	err := errors.Join(
		json.Unmarshal([]byte(r.Scope), &row.Event.Scope),
		json.Unmarshal([]byte(r.ConditionErrors), &row.ConditionErrors),
	)
	if err != nil {
		return carillon.EventRow{}, fmt.Errorf("read event %s: %w", r.ID, err)
	}
	return row, nil
}

// Accepted returns the config version in force, and the row of an event that
// was claimed before; nil when there is none.
func (s *Store) Accepted(ctx context.Context, eventID string) (configVersion int64, row *carillon.EventRow, err error) {
	type acceptedRow struct {
		ConfigVersion int64 `db:"config_version"`
		Known         bool  `db:"known"`
	}
	r, err := readOne[acceptedRow](ctx, s, selectAccepted, eventID)
	if err != nil {
		return 0, nil, fmt.Errorf("look up event %s: %w", eventID, err)
	}
	if !r.Known {
		return r.ConfigVersion, nil, nil
	}
	// Whether an id was published before is no matter of who asks.
	event, err := s.Event(carillon.Confine(ctx, nil), eventID)
	if carillon.CodeOf(err) == carillon.CodeNotFound { // pruned since
		return r.ConfigVersion, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	return r.ConfigVersion, &event, nil
}

// Event returns the row of one event, or an error of [carillon.CodeNotFound].
func (s *Store) Event(ctx context.Context, id string) (carillon.EventRow, error) {
	var w where
	w.andEvents(carillon.ConfinementOf(ctx), "e", "id")
	r, err := readOne[eventRow](ctx, s, selectEvent+w.more(), append([]any{id}, w.args...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return carillon.EventRow{}, carillon.Errorf(carillon.CodeNotFound, "there is no event %q", id)
	}
	if err != nil {
		return carillon.EventRow{}, fmt.Errorf("read event %s: %w", id, err)
	}
	row, err := r.event()
	if err != nil {
		return carillon.EventRow{}, err
	}
	one := []carillon.EventRow{row}
	err = s.ownErrors(ctx, one)
	return one[0], err
}

// ListEvents returns the rows of events that the filter chooses, newest first.
func (s *Store) ListEvents(ctx context.Context, f carillon.EventFilter) ([]carillon.EventRow, error) {
	query, args, none := eventsQuery(f, carillon.ConfinementOf(ctx))
	if none {
		return nil, nil
	}
	rows, err := readAll[eventRow](ctx, s, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	events := make([]carillon.EventRow, len(rows))
	for i, row := range rows {
		if events[i], err = row.event(); err != nil {
			return nil, err
		}
	}
	return events, s.ownErrors(ctx, events)
}

// eventsQuery writes the list of the events that the filter chooses within the
// confinement. none says that there can be none.
func eventsQuery(f carillon.EventFilter, to carillon.Confinement) (query string, args []any, none bool) {
	var w where
	if f.Scope, to, none = narrow(f.Scope, to); none {
		return "", nil, true
	}
	w.andEvents(to, "e", "id")
	before, since, until := eventBefore, eventSince, eventUntil
	query, order := listEvents, orderEvents
	for i, key := range slices.Sorted(maps.Keys(f.Scope)) {
		if i > 0 {
			w.and(eventScope, key, f.Scope[key])
			continue
		}
		w.and(scopedEventScope, key, f.Scope[key])
		query, order = listScopedEvents, orderScopedEvents
		before, since, until = scopedEventBefore, scopedEventSince, scopedEventUntil
	}
	for condition, value := range map[string]string{eventType: f.Type, eventSource: f.Source, eventSubject: f.Subject} {
		if value != "" {
			w.and(condition, value)
		}
	}
	if !f.Since.IsZero() {
		w.and(since, micros(f.Since))
	}
	if !f.Until.IsZero() {
		w.and(until, micros(f.Until))
	}
	if f.Before.ID != "" {
		w.and(before, micros(f.Before.ReceivedAt), f.Before.ID)
	}
	return query + w.String() + order, append(w.args, f.Limit), false
}
