package activities_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// deliver routes, attempts and records an event as a run does, and returns the
// attempt that was made, if one was.
func (b *bundle) deliver(t *testing.T, event string) carillon.Attempt {
	t.Helper()
	e := added(coolUtils)
	e.ID = event
	run := carillon.Run{WorkflowID: "event/" + event, RunID: "run-" + event}
	pub := b.accept(t, e)
	routed, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: pub})
	require.NoError(t, err)
	if routed.Plans[0].State == carillon.Held {
		return carillon.Attempt{Outcome: carillon.OutcomeHeld}
	}
	a, err := b.Attempt(t.Context(), activities.AttemptInput{Run: run, Publication: pub, SubscriptionID: "sub_a", Number: 1})
	require.NoError(t, err)
	row := activities.Row{Subscription: "sub_a", State: carillon.Retrying, Attempts: 1, Outcome: a.Outcome}
	if a.Outcome == carillon.OutcomeDelivered {
		row.State = carillon.Succeeded
	}
	_, err = b.Record(t.Context(), activities.RecordInput{EventID: event, Owner: run.RunID, Rows: []activities.Row{row}})
	require.NoError(t, err)
	return a
}

func (b *bundle) health(t *testing.T) carillon.Health {
	t.Helper()
	sub, err := b.store.Subscription(t.Context(), "sub_a")
	require.NoError(t, err)
	return sub.Health
}

func TestABreakerOpensHoldsAndCloses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_a", nil)
		b.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable})
		for n := range carillon.BreakerThreshold {
			require.Equal(t, n, b.health(t).Failures)
			require.Equal(t, carillon.OutcomeRetry, b.deliver(t, "evt_"+strconv.Itoa(n)).Outcome)
		}
		health := b.health(t)
		require.Equal(t, carillon.HealthOpen, health.State())
		require.Equal(t, now.Add(63*time.Second), health.ProbeAt, "1m and half of a tenth")
		require.Equal(t, []string{"sub_a"}, b.published.watched, "a run probes")

		require.Equal(t, carillon.OutcomeHeld, b.deliver(t, "evt_after").Outcome)
		require.Len(t, b.hooks.Requests("/hook"), carillon.BreakerThreshold)
		row, err := b.store.Delivery(t.Context(), "evt_after", "sub_a")
		require.NoError(t, err)
		require.Equal(t, carillon.Held, row.State)
		require.Contains(t, row.Error, "breaker")

		// What was retrying is held when its turn comes; the probe is made.
		again := activities.AttemptInput{
			Run: carillon.Run{WorkflowID: "event/evt_0", RunID: "run-evt_0"}, Publication: b.accept(t, added(coolUtils)),
			SubscriptionID: "sub_a", Number: 2,
		}
		a, err := b.Attempt(t.Context(), again)
		require.NoError(t, err)
		require.Equal(t, carillon.OutcomeHeld, a.Outcome)
		again.Probe = true
		b.hooks.Script("/hook", receiver.Reply{})
		a, err = b.Attempt(t.Context(), again)
		require.NoError(t, err)
		require.Equal(t, carillon.OutcomeDelivered, a.Outcome)

		backlog, err := b.Backlog(t.Context(), activities.BacklogInput{
			Backlog: carillon.Backlog{SubscriptionID: "sub_a", States: []carillon.DeliveryState{carillon.Held}}, Limit: 1,
		})
		require.NoError(t, err)
		require.Equal(t, health.OpenSince, backlog.OpenSince)
		require.Equal(t, health.ProbeAt, backlog.ProbeAt)
		require.NoError(t, b.Probed(t.Context(), activities.ProbedInput{
			SubscriptionID: "sub_a", OpenSince: health.OpenSince, NextAt: now.Add(time.Hour),
		}))
		require.Equal(t, now.Add(time.Hour), b.health(t).ProbeAt)
		require.NoError(t, b.Probed(t.Context(), activities.ProbedInput{
			SubscriptionID: "sub_a", OpenSince: health.OpenSince, Close: true,
		}))
		require.Equal(t, carillon.OutcomeDelivered, b.deliver(t, "evt_closed").Outcome)
		require.Zero(t, b.health(t))
	})
}

func TestASuccessForgetsFailures(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	for n := range 2 {
		b.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable})
		for i := range carillon.BreakerThreshold - 1 {
			b.deliver(t, fmt.Sprintf("evt_%d_%d", n, i))
		}
		require.Equal(t, carillon.BreakerThreshold-1, b.health(t).Failures)
		b.hooks.Script("/hook", receiver.Reply{})
		b.deliver(t, fmt.Sprintf("evt_%d", n))
		require.Zero(t, b.health(t))
	}
}

// recordOnly counts what a record costs.
type recordOnly struct {
	activities.Store
	inTrouble int
	rows      []carillon.Delivery
}

func (s *recordOnly) InTrouble(ctx context.Context) (map[string]carillon.Health, error) {
	s.inTrouble++
	return s.Store.InTrouble(ctx)
}

func (s *recordOnly) Record(ctx context.Context, owner string, rows []carillon.Delivery) (carillon.Recorded, error) {
	s.rows = append(s.rows, rows...)
	return s.Store.Record(ctx, owner, rows)
}

func TestASuccessOfAnEndpointThatIsWellIsNoNews(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	counted := &recordOnly{Store: b.store}
	b.Activities = b.with(t, b.store, func(d *activities.Deps) { d.Store = counted })
	b.subscribe(t, "sub_a", nil)
	for n := range 10 {
		b.deliver(t, "evt_"+strconv.Itoa(n))
	}
	require.Equal(t, 1, counted.inTrouble, "once a second")
	for _, row := range counted.rows {
		require.Empty(t, row.Outcome)
	}
}

func TestAWorkerLearnsOfTheTroubleThatAnotherSawWithinASecond(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	clock := now
	other := b.with(t, b.store, func(d *activities.Deps) { d.Now = func() time.Time { return clock } })
	b.subscribe(t, "sub_a", nil)
	failing := b.Activities
	b.Activities = other
	b.deliver(t, "evt_1")
	b.Activities = failing
	b.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable}, receiver.Reply{})
	b.deliver(t, "evt_2")
	require.Equal(t, 1, b.health(t).Failures)
	b.Activities = other
	b.deliver(t, "evt_3")
	require.Equal(t, 1, b.health(t).Failures, "not known yet")
	clock = clock.Add(time.Second)
	b.deliver(t, "evt_4")
	require.Zero(t, b.health(t))
}

func TestTheSweepStartsTheProbingThatWasNotStarted(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	b.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable})
	b.published.err = carillon.Errorf(carillon.CodeUnavailable, "Temporal does not answer")
	for n := range carillon.BreakerThreshold {
		b.deliver(t, "evt_"+strconv.Itoa(n))
	}
	require.Equal(t, carillon.HealthOpen, b.health(t).State(), "it opened all the same")
	b.published.err, b.published.watched = nil, nil
	_, err := b.Sweep(t.Context(), activities.SweepInput{})
	require.NoError(t, err)
	require.Equal(t, []string{"sub_a"}, b.published.watched)
}

func TestTheSweepRecoversWhatIsHeldForASubscriptionThatTakesDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	sub := b.subscribe(t, "sub_a", func(s *carillon.Subscription) { s.State = carillon.Paused })
	require.Equal(t, carillon.OutcomeHeld, b.deliver(t, "evt_1").Outcome)
	_, err := b.Sweep(t.Context(), activities.SweepInput{})
	require.NoError(t, err)
	require.Empty(t, b.published.recovered, "it is paused")
	sub.State = carillon.Enabled
	_, err = b.store.UpdateSubscription(t.Context(), sub, 0, "test")
	require.NoError(t, err)
	_, err = b.Sweep(t.Context(), activities.SweepInput{})
	require.NoError(t, err)
	require.Equal(t, []string{"sub_a"}, b.published.recovered)
}

func TestAnAttemptWithoutAPlaceIsPutOffAndCostsNone(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	release := make(chan struct{})
	b.hooks.Script("/hook", receiver.Reply{Hang: release})
	pub := b.accept(t, added(coolUtils))
	b.Activities = b.with(t, b.store, func(d *activities.Deps) { d.Observe = func(string, carillon.Attempt) {} })
	made := make(chan carillon.Attempt, 9)
	for range cap(made) {
		go func() {
			a, err := b.Attempt(t.Context(), activities.AttemptInput{Run: run, Publication: pub, SubscriptionID: "sub_a", Number: 1})
			if err != nil {
				t.Error(err)
			}
			made <- a
		}()
	}
	put := <-made // the others hang
	require.Equal(t, carillon.OutcomeThrottled, put.Outcome)
	require.Equal(t, carillon.Duration(5*time.Second), put.RetryAfter)
	require.Len(t, b.hooks.Requests("/hook"), 8)
	close(release)
	for range cap(made) - 1 {
		require.Equal(t, carillon.OutcomeDelivered, (<-made).Outcome)
	}
}
