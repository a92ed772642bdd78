package activities

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/carillon-dev/carillon"
)

// probeOverdue is when a probe that was due is missed: an attempt takes at most
// 40 s, and what Temporal has to hand out again a minute.
const probeOverdue = 90 * time.Second

// Rewatch makes sure that runs probe where a probe is overdue: asking for one
// when the breaker opened can fail, as when Temporal is too busy to answer in
// time.
func (a *Activities) Rewatch(ctx context.Context) error {
	return a.watch(ctx, func(h carillon.Health) bool { return a.now().Sub(h.ProbeAt) > probeOverdue })
}

func (a *Activities) watch(ctx context.Context, which func(carillon.Health) bool) error {
	troubled, err := a.store.InTrouble(ctx)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(troubled)) {
		if h := troubled[id]; h.Open() && which(h) {
			err = errors.Join(err, a.publisher.Watch(ctx, id))
		}
	}
	return err
}

// Resume makes sure that runs see to what waits for one: those that probe open
// breakers, and those that deliver what was held for a subscription that takes
// deliveries. Asking a run that is there is harmless.
func (a *Activities) Resume(ctx context.Context) error {
	err := a.watch(ctx, func(carillon.Health) bool { return true })
	holding, failed := a.store.Holding(ctx)
	err = errors.Join(err, failed)
	for _, id := range holding {
		_, failed := a.publisher.Recover(ctx, carillon.Backlog{
			SubscriptionID: id, States: []carillon.DeliveryState{carillon.Held}, Before: a.now().UTC(),
		}, 0)
		err = errors.Join(err, failed)
	}
	return err
}
