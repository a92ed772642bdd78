package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/store"
)

// runs stands in for Temporal, and keeps what it was asked.
type runs struct {
	ends  map[string]carillon.RunEnd
	asked []string
	err   error
}

func (r *runs) End(_ context.Context, workflowID string) (carillon.RunEnd, error) {
	r.asked = append(r.asked, workflowID)
	return r.ends[workflowID], r.err
}

// upkeep returns the activities of housekeeping on a store.
func upkeep(db *store.Store, r activities.Runs) *activities.Activities {
	return activities.New(activities.Deps{
		Store: db, Runs: r, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
}

// claimed writes an event that was received so long ago, with deliveries in
// the state.
func (b *bundle) claimed(t *testing.T, id string, age time.Duration, state carillon.DeliveryState, subscriptions ...string) {
	t.Helper()
	event := added(coolUtils)
	event.ID = id
	c := carillon.Claim{
		Publication: carillon.Publication{Event: event, Fingerprint: "f", ReceivedAt: now.Add(-age)},
		Run:         carillon.Run{WorkflowID: "event/" + id, RunID: "run-" + id},
	}
	for _, sub := range subscriptions {
		c.Deliveries = append(c.Deliveries, carillon.Delivery{SubscriptionID: sub, State: state, Run: c.Run, Channel: "webhook"})
	}
	_, err := b.store.Claim(t.Context(), c)
	require.NoError(t, err)
}

func TestPruneWalksThroughSubscriptionsAndThenEvents(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		const old = 91 * 24 * time.Hour
		b.subscribe(t, "sub_kept", nil)
		b.claimed(t, "evt_kept", old, carillon.Succeeded, "sub_kept")
		for n := range 3 {
			b.claimed(t, fmt.Sprintf("evt_%d", n), old, carillon.Failed, "sub_deleted", "sub_also_deleted")
		}
		b.claimed(t, "evt_held", old, carillon.Held, "sub_deleted")
		b.claimed(t, "evt_young", time.Hour, carillon.Succeeded, "sub_deleted")

		a := upkeep(b.store, nil)
		in := activities.PruneInput{Before: now.Add(-90 * 24 * time.Hour)}
		out, err := a.Prune(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, activities.PruneResult{Deliveries: 6, Events: 3}, out)
		for _, id := range []string{"evt_kept", "evt_held", "evt_young"} {
			_, err := b.store.Event(t.Context(), id)
			require.NoError(t, err)
		}
		out, err = a.Prune(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, activities.PruneResult{}, out)
	})
}

func TestPruneRemovesThreadsThatNobodyUses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_1", nil)
		const old = 91 * 24 * time.Hour
		for topic, age := range map[string]time.Duration{"old": old, "older": 2 * old, "used": time.Hour} {
			require.NoError(t, b.store.KeepThread(t.Context(), "sub_1", topic, json.RawMessage(`{}`), now.Add(-age)))
		}
		out, err := upkeep(b.store, nil).Prune(t.Context(), activities.PruneInput{Before: now.Add(-90 * 24 * time.Hour)})
		require.NoError(t, err)
		require.Equal(t, activities.PruneResult{Threads: 2}, out)
		kept, err := b.store.FindThread(t.Context(), "sub_1", "used")
		require.NoError(t, err)
		require.NotNil(t, kept)
	})
}

// manyRows is an index without end.
type manyRows struct{ activities.Store }

func (manyRows) NextDelivered(context.Context, string) (string, error) { return "sub_1", nil }

func (manyRows) PruneDeliveries(_ context.Context, _ string, _ time.Time, limit int) (int, error) {
	return limit, nil
}

func TestPruneIsDoneInParts(t *testing.T) {
	t.Parallel()
	a := activities.New(activities.Deps{Store: manyRows{}, Log: slog.New(slog.DiscardHandler)})
	out, err := a.Prune(t.Context(), activities.PruneInput{})
	require.NoError(t, err)
	require.Equal(t, activities.PruneResult{Deliveries: 50_000, More: true}, out, "sub_1 is the next again")
}

func TestSweepClosesWhatARunLeftOpen(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		temporal := &runs{ends: map[string]carillon.RunEnd{
			"event/evt_terminated": carillon.RunTerminated, "event/evt_canceled": carillon.RunCanceled,
			"event/evt_failed": carillon.RunFailed, "event/evt_timed_out": carillon.RunTimedOut,
			"event/evt_gone": carillon.RunGone, "event/evt_completed": carillon.RunCompleted,
			"event/evt_fresh": carillon.RunTerminated,
		}}
		for _, id := range []string{"terminated", "canceled", "failed", "timed_out", "gone", "completed", "open"} {
			b.claimed(t, "evt_"+id, 2*time.Hour, carillon.Retrying, "sub_a", "sub_b")
		}
		b.claimed(t, "evt_fresh", time.Minute, carillon.Pending, "sub_a")

		out, err := upkeep(b.store, temporal).Sweep(t.Context(), activities.SweepInput{Since: now.Add(-time.Hour)})
		require.NoError(t, err)
		require.Equal(t, activities.SweepResult{Canceled: 4, Failed: 8}, out)
		require.Len(t, temporal.asked, 7, "one question a run, none about what is not overdue")
		for id, want := range map[string]carillon.Delivery{
			"evt_terminated": {State: carillon.Canceled, Error: "its run was terminated"},
			"evt_canceled":   {State: carillon.Canceled, Error: "its run was canceled"},
			"evt_failed":     {State: carillon.Failed, Error: "its run failed"},
			"evt_timed_out":  {State: carillon.Failed, Error: "its run timed out"},
			"evt_gone":       {State: carillon.Failed, Error: "its run is gone from Temporal"},
			"evt_completed":  {State: carillon.Failed, Error: "its run ended without telling"},
			"evt_open":       {State: carillon.Retrying},
			"evt_fresh":      {State: carillon.Pending},
		} {
			have, err := b.store.Delivery(t.Context(), id, "sub_a")
			require.NoError(t, err)
			require.Equal(t, want, carillon.Delivery{State: have.State, Error: have.Error}, id)
		}
	})
}

func TestSweepLooksAtABoundedNumberAndGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	for n := range 501 {
		b.claimed(t, fmt.Sprintf("evt_%03d", n), 2*time.Hour, carillon.Pending, "sub_a")
	}
	temporal := &runs{ends: map[string]carillon.RunEnd{"event/evt_500": carillon.RunTerminated}}
	a := upkeep(b.store, temporal)
	in := activities.SweepInput{Since: now.Add(-time.Hour)}
	out, err := a.Sweep(t.Context(), in)
	require.NoError(t, err)
	require.True(t, out.More)
	require.Zero(t, out.Canceled)
	require.Len(t, temporal.asked, 500)

	in.After = out.Next
	out, err = a.Sweep(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, activities.SweepResult{Canceled: 1}, out)
}

func TestSweepClosesNothingWhileTemporalDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.claimed(t, "evt_1", 2*time.Hour, carillon.Pending, "sub_a")
	temporal := &runs{ends: map[string]carillon.RunEnd{"event/evt_1": carillon.RunTerminated}, err: errors.New("away")}
	_, err := upkeep(b.store, temporal).Sweep(t.Context(), activities.SweepInput{Since: now})
	require.ErrorContains(t, err, "away")
	row, err := b.store.Delivery(t.Context(), "evt_1", "sub_a")
	require.NoError(t, err)
	require.Equal(t, carillon.Pending, row.State)
}
