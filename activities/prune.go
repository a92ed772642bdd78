package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon"
)

// Prune is the registered name of [Activities.Prune].
const Prune = "Prune"

// Bounds of pruning: a statement removes at most pruneBatch rows, so that
// writers do not wait for it (a thousand of 200,000 took SQLite 10 to 25 ms and
// PostgreSQL 75 on a small machine); one call makes at most pruneStatements of
// them, and ends soon after pruneRows rows, far below its time limit.
const (
	pruneBatch      = 1000
	pruneStatements = 1000
	pruneRows       = 50_000
)

// Rows is the part of the index that housekeeping needs.
type Rows interface {
	// NextDelivered returns the first id after the given one of a subscription
	// that has deliveries; empty when there is none.
	NextDelivered(ctx context.Context, after string) (string, error)
	PruneDeliveries(ctx context.Context, subscription string, before time.Time, limit int) (int, error)
	// PruneEvents returns the place to go on from; the zero place is the end.
	PruneEvents(ctx context.Context, before time.Time, after carillon.EventCursor, limit int) (int, carillon.EventCursor, error)
	// PruneThreads removes where messages were posted that nothing followed since.
	PruneThreads(ctx context.Context, before time.Time, limit int) (int, error)
	OverdueDeliveries(ctx context.Context, since time.Time, after carillon.DeliveryCursor, limit int) ([]carillon.Delivery, error)
	CloseDeliveries(ctx context.Context, rows []carillon.Delivery, now time.Time) ([]carillon.Delivery, error)
}

// PruneInput says what to prune, and where to go on.
type PruneInput struct {
	// Before is when an event must have been received for its rows to go.
	Before time.Time  `json:"before"`
	From   PrunePlace `json:"from,omitzero"`
}

// PrunePlace is how far a pruning has come: first the deliveries, subscription
// by subscription, then the events, then the threads. The zero place is the
// beginning.
type PrunePlace struct {
	// Subscription is the last one whose deliveries were pruned.
	Subscription string `json:"subscription,omitempty"`
	// Events says that the deliveries are done; ReceivedAt and Event are those
	// of the last event that was looked at.
	Events     bool      `json:"events,omitempty"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	Event      string    `json:"event,omitempty"`
	// Threads says that the events are done, too.
	Threads bool `json:"threads,omitempty"`
}

// PruneResult is what one call did.
type PruneResult struct {
	Deliveries int `json:"deliveries"`
	Events     int `json:"events"`
	Threads    int `json:"threads,omitempty"`
	// Next is where the next call goes on, if there is More.
	Next PrunePlace `json:"next,omitzero"`
	More bool       `json:"more,omitempty"`
}

// Prune removes old rows from the index: deliveries that are final and not
// among the newest of their subscription, then events without deliveries, then
// the threads of topics that are quiet. It does a bounded part; doing it again is
// harmless.
func (a *Activities) Prune(ctx context.Context, in PruneInput) (PruneResult, error) {
	out := PruneResult{Next: in.From, More: true}
	for range pruneStatements {
		if out.Deliveries+out.Events+out.Threads >= pruneRows {
			break
		}
		var err error
		switch {
		case out.Next.Threads:
			err = a.pruneThreads(ctx, in.Before, &out)
		case out.Next.Events:
			err = a.pruneEvents(ctx, in.Before, &out)
		default:
			err = a.pruneDeliveries(ctx, in.Before, &out)
		}
		if err != nil {
			return PruneResult{}, fmt.Errorf("prune what was received before %s: %w", in.Before.Format(time.RFC3339), err)
		}
		if !out.More {
			break
		}
	}
	return out, nil
}

// pruneDeliveries prunes the next subscription as far as this call goes; one
// that is not done stays the next.
func (a *Activities) pruneDeliveries(ctx context.Context, before time.Time, out *PruneResult) error {
	subscription, err := a.store.NextDelivered(ctx, out.Next.Subscription)
	if err != nil {
		return err
	}
	if subscription == "" {
		out.Next = PrunePlace{Events: true}
		return nil
	}
	for out.Deliveries < pruneRows {
		removed, err := a.store.PruneDeliveries(ctx, subscription, before, pruneBatch)
		if err != nil {
			return err
		}
		out.Deliveries += removed
		if removed < pruneBatch {
			out.Next.Subscription = subscription
			return nil
		}
	}
	return nil
}

func (a *Activities) pruneEvents(ctx context.Context, before time.Time, out *PruneResult) error {
	removed, next, err := a.store.PruneEvents(ctx, before,
		carillon.EventCursor{ReceivedAt: out.Next.ReceivedAt, ID: out.Next.Event}, pruneBatch)
	if err != nil {
		return err
	}
	out.Events += removed
	if next == (carillon.EventCursor{}) {
		out.Next = PrunePlace{Threads: true}
		return nil
	}
	out.Next.ReceivedAt, out.Next.Event = next.ReceivedAt, next.ID
	return nil
}

func (a *Activities) pruneThreads(ctx context.Context, before time.Time, out *PruneResult) error {
	removed, err := a.store.PruneThreads(ctx, before, pruneBatch)
	if err != nil {
		return err
	}
	out.Threads += removed
	if removed < pruneBatch {
		out.Next, out.More = PrunePlace{}, false
	}
	return nil
}
