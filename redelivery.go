package carillon

import "time"

// Redelivery hands a delivery that has ended, or is held, to a run of its own.
type Redelivery struct {
	EventID        string `json:"event"`
	SubscriptionID string `json:"subscription"`
	// Number counts a delivery's redeliveries from 1; it is taken once.
	Number int `json:"number"`
	// Key is a fingerprint of what the caller called the request, so that the
	// same request coming again gets the same run; empty when it did not say.
	Key string `json:"key,omitempty"`
	// From are the states that the delivery may be in.
	From []DeliveryState `json:"from"`
	// Probe makes one attempt only: a failure puts the delivery back into the
	// first state of From.
	Probe bool `json:"probe,omitempty"`
	// PayloadSHA256, unless empty, is the digest of the only payload to send:
	// the one that was sent before.
	PayloadSHA256 string `json:"payload_sha256,omitempty"`
	// Origin is a run whose history holds the event; needed where the run of the
	// redelivery does not carry it.
	Origin Run `json:"origin,omitzero"`
}

// Redeliverable are the states that a person can redeliver from.
func Redeliverable() []DeliveryState { return []DeliveryState{Succeeded, Failed, Canceled, Held} }

// Backlog chooses deliveries of one subscription, for [Subscription] to
// recover.
type Backlog struct {
	SubscriptionID string `json:"subscription"`
	// States are held, failed, or both.
	States []DeliveryState `json:"states"`
	// Since is inclusive, Until exclusive; both mean when Carillon received the
	// event. Zero is no limit.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Before is when it was asked for: what failed after that was tried.
	Before time.Time `json:"before"`
}
