package client

import (
	"context"
	"net/http"

	"github.com/carillon-dev/carillon"
)

// Question asks whether an event matches. It has an Event or an EventID; and
// an Expression, a Subscription, or both.
type Question struct {
	// Event is one that need not have been published; it is taken as if it came
	// in now.
	Event *NewEvent `json:"event,omitempty"`
	// EventID names one that was published.
	EventID string `json:"event_id,omitempty"`
	// Expression is a condition. Beside a Subscription it is tried in place of
	// the subscription's own.
	Expression *string `json:"expression,omitempty"`
	// Subscription is the id of one that is saved: all its rules are applied.
	Subscription string `json:"subscription,omitempty"`
}

// Evaluation is whether an event matches, and why.
type Evaluation struct {
	Matched bool `json:"matched"`
	// Delivery is the state in which the delivery would begin, pending or held;
	// empty when there would be none, and without a subscription.
	Delivery carillon.DeliveryState `json:"delivery"`
	// Reason is the rule that decided: the first that failed, or else the last
	// one.
	Reason Finding `json:"reason"`
	// Rules has every rule in order, those after the deciding one, too.
	Rules []Finding `json:"rules"`
	// Error is why the condition has no answer for the event, without a
	// pointer; nil when it has one.
	Error *carillon.Problem `json:"error"`
	// Note says that the subscription was changed after the event came in.
	Note string `json:"note"`
}

// Finding is what one rule makes of an event.
type Finding struct {
	// Rule is created, type, format, scope, cached, own, condition or state.
	Rule string `json:"rule"`
	// Result is passed, failed, held, or not_carried of the format.
	Result string `json:"result"`
	// Detail is for people.
	Detail string `json:"detail"`
}

// Evaluate says whether an event matches a condition or a subscription, and
// why. Nothing is delivered or changed. Its error is [carillon.CodeInvalid],
// with line and column, when the expression does not compile, and
// [carillon.CodeExpired] when the history of a past event is gone.
func (c *Client) Evaluate(ctx context.Context, q Question) (Evaluation, error) {
	var e Evaluation
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/conditions/evaluate", body: q, answer: &e})
	return e, err
}
