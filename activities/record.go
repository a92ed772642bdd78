package activities

import (
	"context"
	"time"

	"github.com/carillon-dev/carillon"
)

// RecordInput is what became of deliveries.
type RecordInput struct {
	EventID string `json:"event"`
	// Owner is the run that claimed the event: rows that another run took over
	// stay as they are.
	Owner string `json:"owner"`
	Rows  []Row  `json:"rows"`
}

// Row is where one delivery stands.
type Row struct {
	Subscription  string                 `json:"subscription"`
	State         carillon.DeliveryState `json:"state"`
	Attempts      int                    `json:"attempts"`
	Status        int                    `json:"status,omitempty"`
	Error         string                 `json:"error,omitempty"`
	DurationMS    int64                  `json:"duration_ms,omitempty"`
	NextAt        time.Time              `json:"next_at,omitzero"`
	FirstFailedAt time.Time              `json:"first_failed_at,omitzero"`
}

// Record writes where deliveries stand into their index rows.
func (a *Activities) Record(ctx context.Context, in RecordInput) error {
	now := a.now()
	rows := make([]carillon.Delivery, len(in.Rows))
	for i, r := range in.Rows {
		rows[i] = carillon.Delivery{
			EventID: in.EventID, SubscriptionID: r.Subscription, State: r.State, Attempts: r.Attempts,
			Status: r.Status, Error: r.Error, Duration: time.Duration(r.DurationMS) * time.Millisecond,
			NextAt: r.NextAt, FirstFailedAt: r.FirstFailedAt, UpdatedAt: now,
		}
	}
	return a.store.Record(ctx, in.Owner, rows)
}
