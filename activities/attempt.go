package activities

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// AttemptInput asks for one try of a delivery.
type AttemptInput struct {
	// Run is the run whose history holds the event.
	Run carillon.Run `json:"run"`
	// Publication is the event; nil when it is to be read from Run's history.
	Publication    *carillon.Publication `json:"publication,omitempty"`
	SubscriptionID string                `json:"subscription"`
	// Number counts from 1.
	Number int `json:"number"`
	// PayloadSHA256, unless empty, is the digest of the only payload to send.
	PayloadSHA256 string `json:"payload_sha256,omitempty"`
}

// awayRetry is how soon an attempt that Carillon itself could not make, its
// database being away, is due again.
const awayRetry = 5 * time.Second

// Attempt makes one try and says what came of it. Its result is a result, never
// an error, so that the history shows every try: what keeps Carillon from
// trying at all is [carillon.OutcomeThrottled] and costs no attempt.
func (a *Activities) Attempt(ctx context.Context, in AttemptInput) (result carillon.Attempt, _ error) {
	defer func() {
		// A fault in a sender must cost its delivery an attempt, not the run
		// its other deliveries.
		if fault := recover(); fault != nil {
			// What was panicked with may hold a secret; where it was does not.
			a.log.ErrorContext(ctx, "an attempt panicked", "subscription", in.SubscriptionID, "stack", string(debug.Stack()))
			result = carillon.Attempt{Outcome: carillon.OutcomeRetry, StartedAt: a.now(), Error: "internal error"}
		}
		result.SubscriptionID, result.Number = in.SubscriptionID, in.Number
	}()
	return a.attempt(ctx, in), nil
}

func (a *Activities) attempt(ctx context.Context, in AttemptInput) carillon.Attempt {
	none := func(outcome carillon.Outcome, reason string) carillon.Attempt {
		return carillon.Attempt{Outcome: outcome, StartedAt: a.now(), Error: reason}
	}
	pub, err := a.publication(ctx, in.Publication, in.Run)
	switch {
	case err == nil:
	case carillon.CodeOf(err) == carillon.CodeUnavailable, ctx.Err() != nil:
		return a.away("Temporal is away")
	default:
		return none(carillon.OutcomeReject, carillon.Clip("the event cannot be read: "+err.Error(), carillon.MaxErrorBytes))
	}
	sub, err := a.store.Subscription(ctx, in.SubscriptionID)
	switch {
	case carillon.CodeOf(err) == carillon.CodeNotFound:
		return none(carillon.OutcomeCanceled, "the subscription was deleted")
	case err != nil:
		return a.away("the database is away")
	case sub.Unreadable:
		return a.away("the endpoint cannot be opened: CARILLON_SECRET_KEY lacks the key that sealed it")
	case sub.State != carillon.Enabled:
		return none(carillon.OutcomeHeld, "the subscription is "+string(sub.State))
	}
	sender, ok := a.channels[sub.Channel]
	if !ok {
		return none(carillon.OutcomeReject, fmt.Sprintf("there is no channel %q", sub.Channel))
	}
	result := sender.Attempt(ctx, channels.Message{
		Event: pub.Event, Endpoint: sub.Endpoint, Format: sub.Format, FormatOptions: sub.FormatOptions,
		Profile: sub.Profile, PayloadSHA256: in.PayloadSHA256, Number: in.Number,
	})
	result.EventID = pub.Event.ID
	a.observe(sub.Channel, result)
	return result
}

func (a *Activities) away(reason string) carillon.Attempt {
	return carillon.Attempt{
		Outcome: carillon.OutcomeThrottled, StartedAt: a.now(), Error: reason, RetryAfter: carillon.Duration(awayRetry),
	}
}
