package carillon

import (
	"encoding/json"
	"time"
)

// MaxConditionErrors is how many condition errors an event's row keeps: enough
// to see what is wrong, whatever the number of subscriptions.
const MaxConditionErrors = 20

// EventRow is what the index keeps of an event: everything but its data, which
// is in the history of the run.
type EventRow struct {
	// Event has no Data.
	Event Event
	// ReceivedAt is when Carillon took the event, in UTC.
	ReceivedAt time.Time
	// Fingerprint is [Fingerprint] of what the producer posted.
	Fingerprint string
	// Run is the run that claimed the event.
	Run Run
	// ConditionErrors are the conditions that could not be evaluated, at most
	// [MaxConditionErrors].
	ConditionErrors []ConditionError
}

// ConditionError says why a subscription's condition could not be evaluated
// for an event, which counts as no match.
type ConditionError struct {
	SubscriptionID string `json:"subscription"`
	Error          string `json:"error"`
}

// EventCursor is a place in a list of events, newest first: the list goes on
// with what is older. The zero value is the beginning.
type EventCursor struct {
	ReceivedAt time.Time
	ID         string
}

// EventFilter chooses rows of events. A zero field chooses nothing away.
type EventFilter struct {
	Type    string
	Source  string
	Subject string
	// Scope maps keys to the value that each must have.
	Scope map[string]string
	// Since is inclusive, Until exclusive; both mean [EventRow.ReceivedAt].
	Since  time.Time
	Until  time.Time
	Before EventCursor
	// Limit is at least 1.
	Limit int
}

// DeliveryCursor is a place in a list of deliveries, newest first: the list
// goes on with what is older. The zero value is the beginning.
type DeliveryCursor struct {
	ReceivedAt     time.Time
	EventID        string
	SubscriptionID string
}

// DeliveryFilter chooses rows of deliveries. A zero field chooses nothing away.
type DeliveryFilter struct {
	States         []DeliveryState
	SubscriptionID string
	EventID        string
	// Since is inclusive, Until exclusive; both mean [Delivery.ReceivedAt].
	Since  time.Time
	Until  time.Time
	Before DeliveryCursor
	// Limit is at least 1.
	Limit int
}

// AuditEntry is one change that a person or a run made. Entries are never
// changed.
type AuditEntry struct {
	// ID sorts entries by their time.
	ID string
	At time.Time
	// Actor is who did it: "admin" for the key of the configuration, the id of
	// any other key, or a run's workflow id.
	Actor string
	// ActorName is the name of the key that Actor is the id of; empty for
	// others. It is for reading: writing an entry leaves it out of account.
	ActorName string
	// Action is what was done, such as "subscription.disabled".
	Action string
	// Object is the id of what it was done to.
	Object string
	// Detail is for people, without secrets.
	Detail string
	// Before and After are the object as JSON, without secrets; nil where there
	// was none.
	Before json.RawMessage
	After  json.RawMessage
}

// AuditCursor is a place in the list of audit entries, newest first: the list
// goes on with what is older. The zero value is the beginning.
type AuditCursor struct {
	At time.Time
	ID string
}

// AuditFilter chooses audit entries. A zero field chooses nothing away.
type AuditFilter struct {
	// Object is the id of what was changed.
	Object string
	// Actor is as in [AuditEntry].
	Actor  string
	Action string
	// Since is inclusive, Until exclusive.
	Since  time.Time
	Until  time.Time
	Before AuditCursor
	// Limit is at least 1.
	Limit int
}
