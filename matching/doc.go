// Package matching says which subscriptions an event concerns, and why. The
// rules stand in one list: routing goes through it until a rule fails
// ([Subscription.Decide]), an explanation goes through all of it
// ([Subscription.Explain]). The invariant: the two never differ, because
// there is no other place with rules.
//
// It reads no configuration and writes nothing: whoever asks brings the
// subscription and the event.
package matching
