package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon"
)

// DisableInput says that a delivery ran out of attempts, or that its receiver
// is gone.
type DisableInput struct {
	EventID        string `json:"event"`
	EventType      string `json:"event_type"`
	SubscriptionID string `json:"subscription"`
	// Generation is the subscription's at Route: what was enabled since then
	// is left alone.
	Generation int64 `json:"generation"`
	// Run is the workflow id of the deciding run.
	Run           string                 `json:"run"`
	Policy        carillon.DisablePolicy `json:"policy"`
	FirstFailedAt time.Time              `json:"first_failed_at"`
	// Gone says that the receiver answered 410.
	Gone bool `json:"gone,omitempty"`
	// Refused says that the receiver's answer is one after which nobody need try
	// again before somebody has looked.
	Refused bool `json:"refused,omitempty"`
	// Recovery says that a recovery's probes ran out, and no delivery failed.
	Recovery bool   `json:"recovery,omitempty"`
	Attempts int    `json:"attempts"`
	Status   int    `json:"status,omitempty"`
	Error    string `json:"error,omitempty"`
	// At is when the delivery failed.
	At time.Time `json:"at"`
}

// DisableResult says whether the subscription is disabled by this delivery.
type DisableResult struct {
	Disabled bool `json:"disabled"`
}

// Disable disables a delivery's subscription as its policy says, once, and
// publishes what people should hear of. Repeated for the same delivery it does
// nothing new and publishes under the same event ids.
func (a *Activities) Disable(ctx context.Context, in DisableInput) (DisableResult, error) {
	reason := fmt.Sprintf("%d attempts failed, the last with: %s", in.Attempts, in.Error)
	if in.Gone {
		reason = "the receiver is gone: " + in.Error
	}
	if in.Refused {
		reason = "somebody has to look at this first: " + in.Error
	}
	result := carillon.DisableResult{}
	if in.Policy != carillon.DisableNever {
		var err error
		result, err = a.store.Disable(ctx, carillon.Disable{
			SubscriptionID: in.SubscriptionID, Generation: in.Generation, Run: in.Run,
			Policy: in.Policy, FirstFailedAt: in.FirstFailedAt, Gone: in.Gone || in.Refused, Reason: reason, Now: a.now(),
		})
		if err != nil {
			return DisableResult{}, fmt.Errorf("disable %s: %w", in.SubscriptionID, err)
		}
	}
	// The failure of Carillon's own event raises no further one, or two
	// subscriptions that watch each other would ring for ever.
	if carillon.IsOwn(in.EventType) {
		return DisableResult{Disabled: result.Disabled}, nil
	}
	if !in.Gone && !in.Refused && !in.Recovery {
		err := a.publishOwn(ctx, "delivery.exhausted", in.EventID+"/"+in.SubscriptionID+"/"+in.Run, in.SubscriptionID, in.At, map[string]any{
			"subscription": in.SubscriptionID, "event": in.EventID, "event_type": in.EventType,
			"attempts": in.Attempts, "status": in.Status, "error": in.Error,
		})
		if err != nil {
			return DisableResult{}, err
		}
	}
	if result.Disabled {
		id := carillon.GenerationKey(in.SubscriptionID, in.Generation)
		err := a.alertOwn(ctx, "subscription.disabled", id, in.SubscriptionID, in.At, map[string]any{
			"subscription": in.SubscriptionID, "name": result.Subscription.Name, "channel": result.Subscription.Channel,
			"reason": reason, "event": in.EventID, "attempts": in.Attempts, "run": in.Run,
		})
		if err != nil {
			return DisableResult{}, err
		}
	}
	return DisableResult{Disabled: result.Disabled}, nil
}
