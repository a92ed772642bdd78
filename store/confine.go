package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/schema"
)

// A context that is confined ([carillon.Confine]) limits what is read for the
// API, in the statement itself, so that neither a page nor a count knows of
// more: an event by its rows in event_scopes, a subscription by its scope, a
// delivery by both. The reads of runs and workers take no such context and do
// not look at it.

const (
	// The place of an event is what event_scopes is ordered by, so that this is
	// one probe for each value.
	eventWithin = `EXISTS (SELECT 1 FROM event_scopes w WHERE w.scope_key = ? AND w.received_at = %[1]s.received_at
		AND w.event_id = %[1]s.%[2]s AND w.scope_value IN `
	deliveryOwned      = `EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.id = deliveries.subscription_id`
	subscriptionsOfIDs = `SELECT id FROM subscriptions WHERE id IN `
)

// subscriptionWithin asks whether a subscription's scope has a key, and of its
// values only some; it takes the key and the values as JSON. Reading JSON is
// what the two databases have no common words for, and a table of scopes beside
// the subscriptions would be wrong for as long as an older program writes these.
var subscriptionWithin = map[schema.Driver]string{
	schema.Postgres: `COALESCE(CAST(subscriptions.scope AS jsonb) -> CAST(? AS TEXT) <@ CAST(? AS jsonb), FALSE)`,
	schema.SQLite: `EXISTS (SELECT 1 FROM json_each(subscriptions.scope) k WHERE k.key = ? AND NOT EXISTS (
		SELECT 1 FROM json_each(k.value) v WHERE v.value NOT IN (SELECT o.value FROM json_each(?) o)))`,
}

// andEvents limits a list to events within; table has their rows, and column
// their ids.
func (w *where) andEvents(to carillon.Confinement, table, column string) {
	for _, key := range to.Keys() {
		args := []any{key}
		for _, value := range to[key] {
			args = append(args, value)
		}
		w.and(fmt.Sprintf(eventWithin, table, column)+values(1, len(to[key]))+")", args...)
	}
}

// narrow makes a filter of what is confined to one value: its list can be read
// from the index. rest is what is left of the confinement; none says that the
// filter asks for something outside.
func narrow(scope map[string]string, to carillon.Confinement) (filter map[string]string, rest carillon.Confinement, none bool) {
	filter, rest = maps.Clone(scope), carillon.Confinement{}
	if filter == nil {
		filter = map[string]string{}
	}
	for key, allowed := range to {
		asked, given := filter[key]
		switch {
		case given && !slices.Contains(allowed, asked):
			return nil, nil, true
		case given:
		case len(allowed) == 1:
			filter[key] = allowed[0]
		default:
			rest[key] = allowed
		}
	}
	return filter, rest, false
}

// andSubscriptions limits a list of subscriptions to those within.
func (w *where) andSubscriptions(to carillon.Confinement, driver schema.Driver) {
	for _, key := range to.Keys() {
		w.and(subscriptionWithin[driver], key, asJSON(to[key]))
	}
}

// andDeliveries limits a list of deliveries to those of an event within to a
// subscription within. One whose subscription was deleted is not: nothing says
// whose it was.
func (w *where) andDeliveries(to carillon.Confinement, driver schema.Driver) {
	if len(to) == 0 {
		return
	}
	w.andEvents(to, "deliveries", "event_id")
	var of where
	of.andSubscriptions(to, driver)
	w.and(deliveryOwned+of.more()+")", of.args...)
}

// more continues the WHERE of a text that has one.
func (w *where) more() string {
	text := ""
	for _, condition := range w.conditions {
		text += " AND " + condition
	}
	return text
}

// ownErrors leaves those condition errors on events that are about
// subscriptions within.
func (s *Store) ownErrors(ctx context.Context, events []carillon.EventRow) error {
	to := carillon.ConfinementOf(ctx)
	var ids []string
	for _, e := range events {
		for _, failed := range e.ConditionErrors {
			ids = append(ids, failed.SubscriptionID)
		}
	}
	ids = inOrder(ids)
	if len(to) == 0 || len(ids) == 0 {
		return nil
	}
	var w where
	w.andSubscriptions(to, s.driver)
	own, err := readAll[string](ctx, s, subscriptionsOfIDs+values(1, len(ids))+w.more(), append(anys(ids), w.args...)...)
	if err != nil {
		return fmt.Errorf("look at the subscriptions of events: %w", err)
	}
	for i := range events {
		events[i].ConditionErrors = slices.DeleteFunc(events[i].ConditionErrors, func(failed carillon.ConditionError) bool {
			return !slices.Contains(own, failed.SubscriptionID)
		})
	}
	return nil
}
