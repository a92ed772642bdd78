package carillon

import (
	"encoding/json"
	"time"
)

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery. Pending and retrying are under way, held waits
// for its subscription, the others are final.
const (
	Pending   DeliveryState = "pending"
	Retrying  DeliveryState = "retrying"
	Held      DeliveryState = "held"
	Succeeded DeliveryState = "succeeded"
	Failed    DeliveryState = "failed"
	Canceled  DeliveryState = "canceled"
)

// DeliveryStates lists all states, in the order of a delivery's life.
var DeliveryStates = []DeliveryState{Pending, Retrying, Held, Succeeded, Failed, Canceled}

// Final reports whether nothing follows the state by itself.
func (s DeliveryState) Final() bool { return s == Succeeded || s == Failed || s == Canceled }

// Outcome is what an attempt came to.
type Outcome string

// The outcomes of an attempt. A sender answers with one of the first five; the
// other three say that no attempt was made, and none is counted.
const (
	OutcomeDelivered Outcome = "delivered" // the receiver took it
	OutcomeRetry     Outcome = "retry"     // it may succeed later
	OutcomeReject    Outcome = "reject"    // it can never succeed as it is: final, and disables nothing
	OutcomeGone      Outcome = "gone"      // the receiver wants no more: final, and disables
	OutcomeRefused   Outcome = "refused"   // nobody need try again before somebody has looked: disables, and holds

	OutcomeThrottled Outcome = "throttled" // not now: come back after RetryAfter
	OutcomeHeld      Outcome = "held"      // the subscription takes no deliveries now
	OutcomeCanceled  Outcome = "canceled"  // the subscription was deleted
)

// Tried reports whether an attempt was made, and counts.
func (o Outcome) Tried() bool {
	switch o {
	case OutcomeDelivered, OutcomeRetry, OutcomeReject, OutcomeGone, OutcomeRefused:
		return true
	case OutcomeThrottled, OutcomeHeld, OutcomeCanceled:
	}
	return false
}

// Failed reports whether the attempt tells that its endpoint is not well: a
// payload that is rejected does not.
func (o Outcome) Failed() bool {
	return o == OutcomeRetry || o == OutcomeGone || o == OutcomeRefused
}

// Delivery is one event on its way to one subscription: an index row, which
// answers which deliveries there are. What exactly was sent is in the history
// of its run.
type Delivery struct {
	EventID        string
	SubscriptionID string
	State          DeliveryState
	// Attempts counts the attempts made so far.
	Attempts int
	// Status is the last attempt's HTTP status, 0 when there was no answer.
	Status int
	// Error says what went wrong last, for people; empty on success.
	Error string
	// Duration is how long the last attempt took.
	Duration time.Duration
	// NextAt is when the next attempt is due; zero when none is.
	NextAt time.Time
	// FirstFailedAt is when the first attempt failed; zero when none did.
	FirstFailedAt time.Time
	// Run is the run that answers for it.
	Run Run
	// EventType, Channel and Host are copied for lists and summaries.
	EventType  string
	Channel    string
	Host       string
	ReceivedAt time.Time
	UpdatedAt  time.Time
	// Redeliveries counts how often it was handed to a run of its own.
	Redeliveries int
	// RedeliveryKey is the key of the last one; see [Redelivery].
	RedeliveryKey string
	// PutBack says, of a held delivery to be recorded, that its recovery tried
	// it in vain and goes on: it stays held though its subscription is enabled.
	PutBack bool
	// Progress is what the last attempt left for the next; nil for most.
	Progress json.RawMessage
	// MaxPerMinute is, of a delivery to be claimed, how many of its subscription's
	// go alone in a minute: what is beyond is gathered. 0 is no limit.
	MaxPerMinute int
	// Outcome is, of a delivery to be recorded, what the endpoint's health
	// learns from the attempt: a delivered one forgets failures, others count as
	// one. Empty when it learns nothing.
	Outcome Outcome
}

// Limits that keep an attempt's record within 8 KiB, so that a hundred of them
// fit in one workflow task.
const (
	MaxExcerptBytes = 4 << 10
	MaxErrorBytes   = 512
	MaxHeaderBytes  = 1 << 10 // all recorded headers of a request, and of a response
	MaxHostBytes    = 128
	// MaxProgressBytes bounds an attempt's progress.
	MaxProgressBytes = 2 << 10
)

// Attempt is one try of a delivery: what the history keeps of it. It repeats
// whose try it is, because a local activity's marker holds no input.
type Attempt struct {
	EventID        string `json:"event"`
	SubscriptionID string `json:"subscription"`
	// Number counts from 1.
	Number    int       `json:"number"`
	StartedAt time.Time `json:"started_at"`
	// DurationMS is how long the sender took, in milliseconds.
	DurationMS int64   `json:"duration_ms"`
	Outcome    Outcome `json:"outcome"`
	// Error says what went wrong, for people, without secrets.
	Error string `json:"error,omitempty"`
	// RetryAfter is how long the receiver (or a throttle) asked to wait.
	RetryAfter Duration  `json:"retry_after,omitempty"`
	Request    *Request  `json:"request,omitempty"`
	Response   *Response `json:"response,omitempty"`
	// Progress is, of a delivery that was made in part, what its channel needs to
	// know at the next attempt, such as who got the message already: JSON of at
	// most [MaxProgressBytes], without secrets.
	Progress json.RawMessage `json:"progress,omitempty"`
	// Partial says that some recipients of a message have it, and what is left is
	// the others' own trouble: the endpoint is well.
	Partial bool `json:"partial,omitempty"`
	// NotTaken are, of a batch that was delivered, the ids of the events that the
	// receiver says failed. Its sender sets it; it is recorded elsewhere.
	NotTaken []string `json:"-"`
}

// Tells is the outcome that the endpoint's health learns from the attempt.
func (a *Attempt) Tells() Outcome {
	if a.Partial && a.Outcome == OutcomeRetry {
		return OutcomeDelivered
	}
	return a.Outcome
}

// Request is what was sent, without secrets.
type Request struct {
	Method string `json:"method,omitempty"`
	// Host is the endpoint's host and port; its path and query may be secret.
	Host string `json:"host"`
	// Headers are those that Carillon sets; the values of a subscription's own
	// headers, and of Authorization, are masked.
	Headers map[string]string `json:"headers,omitempty"`
	// PayloadSHA256 is the hex digest of the exact bytes sent.
	PayloadSHA256 string `json:"payload_sha256,omitempty"`
	PayloadBytes  int    `json:"payload_bytes"`
}

// Response is what came back.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	// Body is the beginning of it, at most [MaxExcerptBytes]; bytes that are no
	// UTF-8 are replaced.
	Body      string `json:"body,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
}
