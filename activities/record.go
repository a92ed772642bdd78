package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/carillon-dev/carillon"
)

// RecordInput is what became of deliveries.
type RecordInput struct {
	EventID string `json:"event,omitempty"`
	// Owner is the run that claimed the event: rows that another run took over
	// stay as they are.
	Owner string `json:"owner"`
	Rows  []Row  `json:"rows"`
}

// Row is where one delivery stands.
type Row struct {
	// EventID is set where the rows are of several events.
	EventID       string                 `json:"event,omitempty"`
	Subscription  string                 `json:"subscription"`
	State         carillon.DeliveryState `json:"state"`
	Attempts      int                    `json:"attempts"`
	Status        int                    `json:"status,omitempty"`
	Error         string                 `json:"error,omitempty"`
	DurationMS    int64                  `json:"duration_ms,omitempty"`
	NextAt        time.Time              `json:"next_at,omitzero"`
	FirstFailedAt time.Time              `json:"first_failed_at,omitzero"`
	// PutBack is of a held delivery that its recovery tried in vain.
	PutBack bool `json:"put_back,omitempty"`
	// MovedTo is the run that answers for the delivery from now on; empty when
	// that stays.
	MovedTo string `json:"moved_to,omitempty"`
	// Outcome is that of the attempt that the row is recorded after; empty when
	// none was made.
	Outcome carillon.Outcome `json:"outcome,omitempty"`
	// Progress is what the attempt left for the next.
	Progress json.RawMessage `json:"progress,omitempty"`
}

// RecordResult says what the database knew better.
type RecordResult struct {
	// Reopened are subscriptions that were enabled meanwhile: their deliveries
	// are not held but pending, and to be attempted at once.
	Reopened []string `json:"reopened,omitempty"`
}

// Record writes where deliveries stand into their index rows, and what their
// attempts say of the endpoints' health.
func (a *Activities) Record(ctx context.Context, in RecordInput) (RecordResult, error) {
	now := a.now()
	if err := a.troubles.refresh(ctx, now, a.store.InTrouble); err != nil {
		a.log.DebugContext(ctx, "the endpoints in trouble are not known anew", "error", err)
	}
	rows := make([]carillon.Delivery, len(in.Rows))
	for i, r := range in.Rows {
		rows[i] = carillon.Delivery{
			EventID: cmp.Or(r.EventID, in.EventID), Run: carillon.Run{WorkflowID: r.MovedTo}, SubscriptionID: r.Subscription, State: r.State, Attempts: r.Attempts,
			Status: r.Status, Error: r.Error, Duration: time.Duration(r.DurationMS) * time.Millisecond,
			NextAt: r.NextAt, FirstFailedAt: r.FirstFailedAt, UpdatedAt: now, PutBack: r.PutBack, Outcome: a.telling(r),
			Progress: r.Progress,
		}
	}
	recorded, err := a.store.Record(ctx, in.Owner, rows)
	if err != nil {
		return RecordResult{}, err
	}
	last := map[string]failure{}
	for _, r := range in.Rows {
		if r.Outcome.Failed() {
			last[r.Subscription] = failure{event: cmp.Or(r.EventID, in.EventID), attempts: r.Attempts, status: r.Status, err: r.Error}
		}
	}
	a.learn(ctx, recorded.Health, last)
	for _, r := range in.Rows {
		if r.Outcome.Failed() {
			a.bulkheads.recorded(r.Subscription) // after the breaker opened
		}
	}
	return RecordResult{Reopened: recorded.Reopened}, nil
}

// telling returns the outcome of a row that tells something of its endpoint's
// health: a success is no news of one that is well.
func (a *Activities) telling(r Row) carillon.Outcome {
	if r.Outcome == carillon.OutcomeDelivered && a.troubles.get(r.Subscription).Well() {
		return ""
	}
	return r.Outcome
}
