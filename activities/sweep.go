package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon"
)

// Sweep is the registered name of [Activities.Sweep].
const Sweep = "Sweep"

// sweepBatch bounds the deliveries that one call looks at, and with them its
// questions to Temporal.
const sweepBatch = 500

// Runs knows how runs ended.
type Runs interface {
	// End says how a workflow's last run ended, or that it goes on.
	End(ctx context.Context, workflowID string) (carillon.RunEnd, error)
}

// SweepInput says which deliveries to look at.
type SweepInput struct {
	// Since is when something must have been heard of a delivery for it to
	// count as under way.
	Since time.Time  `json:"since"`
	After SweepPlace `json:"after,omitzero"`
}

// SweepPlace is the last delivery that was looked at.
type SweepPlace struct {
	ReceivedAt   time.Time `json:"received_at,omitzero"`
	Event        string    `json:"event,omitempty"`
	Subscription string    `json:"subscription,omitempty"`
}

// SweepResult is what one call did.
type SweepResult struct {
	// Canceled and Failed count the deliveries that were closed.
	Canceled int `json:"canceled"`
	Failed   int `json:"failed"`
	// Next is where the next call goes on, if there is More.
	Next SweepPlace `json:"next,omitzero"`
	More bool       `json:"more,omitempty"`
}

// Sweep closes the rows of deliveries whose run ended without telling: one
// that was terminated, above all. It also starts the runs that should probe an
// open breaker, or send batches, and do not. It looks at a bounded number of deliveries
// that are overdue; doing it again is harmless.
func (a *Activities) Sweep(ctx context.Context, in SweepInput) (SweepResult, error) {
	if in.After == (SweepPlace{}) {
		if err := a.Resume(ctx); err != nil {
			return SweepResult{}, err
		}
	}
	rows, err := a.store.OverdueDeliveries(ctx, in.Since, carillon.DeliveryCursor{
		ReceivedAt: in.After.ReceivedAt, EventID: in.After.Event, SubscriptionID: in.After.Subscription,
	}, sweepBatch)
	if err != nil {
		return SweepResult{}, err
	}
	ends := map[string]carillon.RunEnd{} // of workflows: a run has up to a hundred deliveries
	var orphans []carillon.Delivery
	for _, d := range rows {
		end, known := ends[d.Run.WorkflowID]
		if !known {
			if end, err = a.runs.End(ctx, d.Run.WorkflowID); err != nil {
				return SweepResult{}, fmt.Errorf("look up the run of %s/%s: %w", d.EventID, d.SubscriptionID, err)
			}
			ends[d.Run.WorkflowID] = end
		}
		if end != carillon.RunOpen && carillon.IsGather(d.Run.WorkflowID) {
			// The rows are its queue: it goes on with them.
			if err := a.publisher.Gather(ctx, d.SubscriptionID, "", 1); err != nil {
				return SweepResult{}, fmt.Errorf("wake the batches of %s: %w", d.SubscriptionID, err)
			}
			ends[d.Run.WorkflowID] = carillon.RunOpen
			continue
		}
		if end != carillon.RunOpen {
			d.State, d.Error = orphaned(end)
			orphans = append(orphans, d)
		}
	}
	var out SweepResult
	if len(orphans) > 0 {
		closed, err := a.store.CloseDeliveries(ctx, orphans, a.now())
		if err != nil {
			return SweepResult{}, err
		}
		for _, d := range closed {
			if d.State == carillon.Canceled {
				out.Canceled++
			} else {
				out.Failed++
			}
		}
		a.log.Warn("deliveries were closed whose run ended without telling", "canceled", out.Canceled, "failed", out.Failed)
	}
	if len(rows) == sweepBatch {
		last := rows[len(rows)-1]
		out.Next = SweepPlace{ReceivedAt: last.ReceivedAt, Event: last.EventID, Subscription: last.SubscriptionID}
		out.More = true
	}
	return out, nil
}

// orphaned is what becomes of a delivery by the end of its run: what a person
// ended is canceled.
func orphaned(end carillon.RunEnd) (state carillon.DeliveryState, reason string) {
	switch end {
	case carillon.RunTerminated, carillon.RunCanceled:
		return carillon.Canceled, "its run was " + string(end)
	case carillon.RunTimedOut, carillon.RunFailed:
		return carillon.Failed, "its run " + string(end)
	case carillon.RunGone:
		return carillon.Failed, "its run is gone from Temporal"
	case carillon.RunCompleted, carillon.RunOpen:
	}
	return carillon.Failed, "its run ended without telling"
}
