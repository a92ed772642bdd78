package carillon

import "time"

// Claim is what a run writes when it takes an event on: the event's index row
// and all its deliveries, in one transaction, or nothing.
type Claim struct {
	Publication Publication
	// Run is the claiming run; its RunID owns the event from then on.
	Run Run
	// Deliveries name the runs that see them through.
	Deliveries []Delivery
	// ConditionErrors are kept on the event's row.
	ConditionErrors []ConditionError
}

// ClaimResult says whose an event is after a claim.
type ClaimResult int

// The results of a claim.
const (
	// ClaimNew means that the claim was written.
	ClaimNew ClaimResult = iota
	// ClaimOwned means that the same run had claimed it before; nothing was
	// written.
	ClaimOwned
	// ClaimDuplicate means that another run owns the event; nothing was written.
	ClaimDuplicate
)

// EventOwner is the run that claimed an event, and what the event was posted
// with.
type EventOwner struct {
	Run         Run
	Fingerprint string
}

// Claimed is one event after a claim.
type Claimed struct {
	Result ClaimResult
	// Deliveries are as they were written; nil unless the claim is new. What is
	// held for a subscription that takes deliveries by now is written as
	// pending.
	Deliveries []Delivery
	// ConfigVersion is the one in force when it was written: every change that
	// was committed before is in it. Zero unless the claim is new.
	ConfigVersion int64
	// Conflict says, of a duplicate, that its owner claimed the id with another
	// fingerprint.
	Conflict bool
}

// Disable is a run's decision to disable a subscription.
type Disable struct {
	SubscriptionID string
	// Generation is the one that the decision was made under.
	Generation int64
	// Run is the workflow id of the deciding run.
	Run    string
	Policy DisablePolicy
	// FirstFailedAt is the delivery's first failure: under
	// [DisableUnreachable], a success since then keeps the subscription.
	FirstFailedAt time.Time
	// Gone says that the receiver answered 410, which is beyond policy
	// [DisableUnreachable].
	Gone   bool
	Reason string
	Now    time.Time
}

// DisableResult is what became of a [Disable].
type DisableResult struct {
	// Disabled says that the subscription is disabled by this run, now or
	// before.
	Disabled bool
	// Subscription is as it stands, without its endpoint; set when Disabled.
	Subscription Subscription
}
