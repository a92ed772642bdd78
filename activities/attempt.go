package activities

import (
	"context"
	"encoding/json"
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
	// EventID says which of that run's events.
	EventID string `json:"event,omitempty"`
	// Publication is the event; nil when it is to be read from Run's history.
	Publication    *carillon.Publication `json:"publication,omitempty"`
	SubscriptionID string                `json:"subscription"`
	// Number counts from 1.
	Number int `json:"number"`
	// ConfigVersion is that of [RouteResult], of a first try; else the attempt
	// asks the database for the subscription.
	ConfigVersion int64 `json:"config_version,omitempty"`
	// Probe is of a recovery, which tries also while the breaker is open.
	Probe bool `json:"probe,omitempty"`
	// PayloadSHA256, unless empty, is the digest of the only payload to send.
	PayloadSHA256 string `json:"payload_sha256,omitempty"`
	// Progress is that of the attempt before; nil for the first.
	Progress json.RawMessage `json:"progress,omitempty"`
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
	pub, err := a.publication(ctx, in.Publication, in.Run, in.EventID)
	switch {
	case err == nil:
	case carillon.CodeOf(err) == carillon.CodeUnavailable, ctx.Err() != nil:
		return a.away("Temporal is away")
	default:
		return a.untried(carillon.OutcomeReject, carillon.Clip("the event cannot be read: "+err.Error(), carillon.MaxErrorBytes))
	}
	return a.attemptAt(ctx, in, func(sub *carillon.Subscription, sender channels.Sender) carillon.Attempt {
		result := sender.Attempt(ctx, a.message(sub, in, pub.Event))
		result.EventID = pub.Event.ID
		return result
	})
}

// attemptAt has try make an attempt at a subscription, if it takes any now and there
// is a place at its endpoint.
func (a *Activities) attemptAt(
	ctx context.Context, in AttemptInput, try func(*carillon.Subscription, channels.Sender) carillon.Attempt,
) carillon.Attempt {
	sub, err := a.subscription(ctx, in)
	switch {
	case carillon.CodeOf(err) == carillon.CodeNotFound:
		return a.untried(carillon.OutcomeCanceled, "the subscription was deleted")
	case err != nil:
		return a.away("the database is away")
	case sub.Unreadable:
		return a.away("the endpoint cannot be opened: CARILLON_SECRET_KEY lacks the key that sealed it")
	}
	if reason, held := sub.Held(); held && (sub.State != carillon.Enabled || !in.Probe) {
		return a.untried(carillon.OutcomeHeld, reason)
	}
	sender, ok := a.channels[sub.Channel]
	if !ok {
		// A newer API saved it: another worker, or this one after its upgrade, has it.
		return a.away(fmt.Sprintf("this worker knows no channel %q", sub.Channel))
	}
	place, after := a.bulkheads.enter(ctx, sub.ID)
	if place == nil {
		return a.crowded(after)
	}
	// It can have opened while the attempt waited for its place.
	if !in.Probe && a.isOpen(ctx, sub.ID) {
		place.leave()
		return a.untried(carillon.OutcomeHeld, "its endpoint's breaker is open")
	}
	failed := true // also when the sender panics
	a.meter.InFlight(1)
	defer func() {
		a.meter.InFlight(-1)
		place.done(failed)
	}()
	result := try(&sub, sender)
	failed = result.Outcome.Failed()
	a.observe(sub.Channel, result)
	return result
}

// untried is an attempt that was not made.
func (a *Activities) untried(outcome carillon.Outcome, reason string) carillon.Attempt {
	return carillon.Attempt{Outcome: outcome, StartedAt: a.now(), Error: reason}
}

// crowded is an attempt that found no place at its endpoint.
func (a *Activities) crowded(after time.Duration) carillon.Attempt {
	a.meter.Throttled()
	return carillon.Attempt{
		Outcome: carillon.OutcomeThrottled, StartedAt: a.now(), RetryAfter: carillon.Duration(after.Round(time.Millisecond)),
		Error: "its endpoint has as many attempts under way as it may",
	}
}

func (a *Activities) away(reason string) carillon.Attempt {
	return carillon.Attempt{
		Outcome: carillon.OutcomeThrottled, StartedAt: a.now(), Error: reason, RetryAfter: carillon.Duration(awayRetry),
	}
}
