package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/matching"
)

// ReclaimInput asks to hand a delivery to the run of its redelivery.
type ReclaimInput struct {
	Redelivery carillon.Redelivery `json:"redelivery"`
	Run        carillon.Run        `json:"run"`
}

// Reclaim makes a run the one that answers for a delivery. The answer is that
// of [Activities.Route]: one plan, or a duplicate where another redelivery was
// faster or the delivery is under way.
func (a *Activities) Reclaim(ctx context.Context, in ReclaimInput) (RouteResult, error) {
	row, ok, err := a.store.Reclaim(ctx, in.Redelivery, in.Run, a.now())
	if err != nil {
		return RouteResult{}, fmt.Errorf("reclaim delivery of %s: %w", in.Redelivery.EventID, err)
	}
	if !ok {
		return RouteResult{Duplicate: true}, nil
	}
	sub, err := a.store.Subscription(ctx, in.Redelivery.SubscriptionID)
	if err != nil && carillon.CodeOf(err) != carillon.CodeNotFound {
		return RouteResult{}, err
	}
	var known []*entry
	if err == nil { // else the attempt will say that it was deleted
		known = append(known, &entry{Subscription: sub})
	}
	plans := a.plan([]carillon.Delivery{row}, &snapshot{index: matching.NewIndex(known)}).Plans
	if in.Redelivery.Probe {
		plans[0].Delays = nil
	}
	return RouteResult{Plans: plans}, nil
}

// BacklogInput asks for the oldest deliveries of a backlog.
type BacklogInput struct {
	Backlog carillon.Backlog `json:"backlog"`
	Limit   int              `json:"limit"`
}

// BacklogResult is the beginning of a backlog, and what its recovery goes by.
type BacklogResult struct {
	// State is the subscription's; empty when it was deleted.
	State      carillon.SubscriptionState `json:"state"`
	Name       string                     `json:"name,omitempty"`
	Generation int64                      `json:"generation,omitempty"`
	Disable    carillon.DisablePolicy     `json:"disable,omitempty"`
	// Delays are the waits between probes, with their jitter drawn.
	Delays []carillon.Duration `json:"delays,omitempty"`
	// OpenSince is when the endpoint's breaker opened; zero while it is closed.
	OpenSince time.Time `json:"open_since,omitzero"`
	// ProbeAt is when the next probe of an open breaker is due.
	ProbeAt time.Time `json:"probe_at,omitzero"`
	// Batched says that the subscription's events are gathered: its backlog is
	// handed to the run that does it.
	Batched bool `json:"batched,omitempty"`
	// Total counts the whole backlog.
	Total  int                   `json:"total"`
	Oldest []carillon.Redelivery `json:"oldest,omitempty"`
}

// Backlog reads where a backlog stands. The subscription is read first: what is
// held afterwards is held for one that was not enabled any more, or whose
// breaker was open, and enabling it, or opening the breaker, asks for a
// recovery of its own.
func (a *Activities) Backlog(ctx context.Context, in BacklogInput) (BacklogResult, error) {
	sub, err := a.store.Subscription(ctx, in.Backlog.SubscriptionID)
	if carillon.CodeOf(err) == carillon.CodeNotFound {
		return BacklogResult{}, nil
	}
	if err != nil {
		return BacklogResult{}, err
	}
	rows, total, err := a.store.Backlog(ctx, in.Backlog, in.Limit)
	if err != nil {
		return BacklogResult{}, err
	}
	out := BacklogResult{
		State: sub.State, Name: carillon.Clip(sub.Name, maxPlanName), Generation: sub.Generation,
		Disable: sub.Retry.Disable, Delays: a.delays(sub.Retry.Schedule), Total: total,
		OpenSince: sub.Health.OpenSince, ProbeAt: sub.Health.ProbeAt, Batched: !a.batch(&sub).IsZero(),
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.EventID
	}
	owners, err := a.store.Owners(ctx, ids)
	if err != nil {
		return BacklogResult{}, err
	}
	for _, row := range rows {
		out.Oldest = append(out.Oldest, carillon.Redelivery{
			EventID: row.EventID, SubscriptionID: row.SubscriptionID, Number: row.Redeliveries + 1,
			From: []carillon.DeliveryState{row.State}, Probe: true, Origin: owners[row.EventID].Run,
		})
	}
	return out, nil
}
