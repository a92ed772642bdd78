package activities_test

import (
	"encoding/json"
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

func TestPeopleAreToldOnceAnOutage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_a", nil)
		for outage := range 2 {
			b.published.events = nil
			b.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable})
			for n := range carillon.FailingAfter + 2 {
				b.deliver(t, "evt_"+strconv.Itoa(outage)+"_"+strconv.Itoa(n))
				if n+1 < carillon.FailingAfter {
					require.Empty(t, b.published.types(), "it may be nothing")
				} else {
					require.Equal(t, []string{"subscription.failing"}, b.published.types())
				}
			}
			b.hooks.Script("/hook", receiver.Reply{})
			for n := range 3 {
				b.deliver(t, "evt_back_"+strconv.Itoa(outage)+"_"+strconv.Itoa(n))
				require.Equal(t, []string{"subscription.failing", "subscription.recovered"}, b.published.types())
			}
			require.Zero(t, b.health(t))
			var failing struct {
				Subscription, Event, Reason string
				Attempts                    int
			}
			require.NoError(t, json.Unmarshal(b.published.events[0].Data, &failing))
			require.Equal(t, "sub_a", failing.Subscription)
			require.Equal(t, "3 attempts in a row failed", failing.Reason)
			require.Equal(t, "evt_"+strconv.Itoa(outage)+"_2", failing.Event)
		}
	})
}

func TestWhatCouldNotBeToldIsToldByTheNextAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	b.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable})
	b.published.err = carillon.Errorf(carillon.CodeUnavailable, "Temporal does not answer")
	for n := range carillon.FailingAfter {
		b.deliver(t, "evt_"+strconv.Itoa(n))
	}
	require.True(t, b.health(t).ToldSince.IsZero())
	b.published.err = nil
	b.published.events = nil
	b.deliver(t, "evt_next")
	require.Equal(t, []string{"subscription.failing"}, b.published.types())
	require.Equal(t, b.health(t).FailingSince, b.health(t).ToldSince)
}

func TestASubscriptionThatWasDisabledRecoversByADelivery(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	out, err := b.Disable(t.Context(), activities.DisableInput{
		EventID: "evt_1", EventType: "package.added", SubscriptionID: "sub_a", Generation: 1, Run: "event/evt_1",
		Policy: carillon.DisableExhausted, Gone: true, Attempts: 1, At: now,
	})
	require.NoError(t, err)
	require.True(t, out.Disabled)
	sub, err := b.store.Subscription(t.Context(), "sub_a")
	require.NoError(t, err)
	sub.State = carillon.Enabled
	_, err = b.store.UpdateSubscription(t.Context(), sub, 0, "admin")
	require.NoError(t, err)
	require.Equal(t, []string{"subscription.disabled"}, b.published.types(), "nothing is known of the endpoint yet")
	b.deliver(t, "evt_2")
	require.Equal(t, []string{"subscription.disabled", "subscription.recovered"}, b.published.types())
}

func TestAProbeThatIsOverdueIsAskedForAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	b.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable})
	b.published.err = carillon.Errorf(carillon.CodeUnavailable, "Temporal does not answer")
	for n := range carillon.BreakerThreshold {
		b.deliver(t, "evt_"+strconv.Itoa(n))
	}
	require.True(t, b.health(t).Open())
	b.published.err, b.published.watched = nil, nil
	require.NoError(t, b.Rewatch(t.Context()))
	require.Empty(t, b.published.watched, "it is not due")
	overdue := b.health(t)
	require.NoError(t, b.store.SetProbe(t.Context(), "sub_a", overdue.OpenSince, now.Add(-2*time.Minute)))
	require.NoError(t, b.Rewatch(t.Context()))
	require.Equal(t, []string{"sub_a"}, b.published.watched)
}
