package carillon

import "time"

// Rotation is a change of a subscription's signing secret, and of nothing
// else.
type Rotation struct {
	SubscriptionID string
	// IfVersion is the version that Endpoint was made from.
	IfVersion int64
	// Endpoint has the new secret.
	Endpoint Endpoint
	// Overlap is how long the old secret signs as well.
	Overlap time.Duration
	Actor   string
	Now     time.Time
}
