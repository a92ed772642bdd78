package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// someAdded are n events whose ids begin with the prefix.
func someAdded(prefix string, n int) []client.NewEvent {
	events := make([]client.NewEvent, n)
	for i := range events {
		events[i] = added(fmt.Sprintf("%s-%d", prefix, i))
	}
	return events
}

// arrivals counts how often each event arrived at a path.
func (i *instance) arrivals(path string) map[string]int {
	i.t.Helper()
	counts := map[string]int{}
	for _, r := range i.hooks.Requests(path) {
		counts[read(i.t, r).ID]++
	}
	return counts
}

func TestABatchIsOneRunAndRingsOnceEach(t *testing.T) {
	t.Parallel()
	i := start(t)
	a, b := i.subscribe("/a"), i.subscribe("/b")
	events := someAdded("build", 100)
	accepted, err := i.client.PublishAll(t.Context(), events)
	require.NoError(t, err)
	require.Len(t, accepted, 100)
	for _, one := range accepted {
		require.Equal(t, accepted[0].Run, one.Run, "they share a run")
		require.True(t, strings.HasPrefix(one.Run.WorkflowID, "batch/"))
		for _, sub := range []client.Subscription{a, b} {
			i.awaitDelivery(one.ID, sub.ID, carillon.Succeeded)
			// The index can be ahead of the history by the end of a workflow task.
			i.eventually("its attempt is in the history", func() bool {
				d, err := i.client.Delivery(t.Context(), one.ID, sub.ID)
				require.NoError(t, err)
				return len(d.Attempts) == 1 && d.Attempts[0].EventID == one.ID
			})
		}
	}
	event, err := i.client.Event(t.Context(), accepted[42].ID)
	require.NoError(t, err)
	require.JSONEq(t, `{"package":"MyCorp.CoolUtils","version":"3.2.0"}`, string(event.Data))

	again, err := i.client.PublishAll(t.Context(), events)
	require.NoError(t, err)
	require.Equal(t, accepted, again)
	require.Equal(t, accepted[7], i.publish(events[7]), "also when posted alone")

	other := someAdded("other", 3)
	other[1] = events[0]
	other[1].Actor = "somebody else"
	_, err = i.client.PublishAll(t.Context(), other)
	require.Equal(t, carillon.CodeEventReused, client.CodeOf(err))
	_, err = i.client.Event(t.Context(), carillon.EventID("registry.example.com", "other-0"))
	require.Equal(t, carillon.CodeNotFound, client.CodeOf(err), "nothing of it was taken")

	for path, counts := range map[string]map[string]int{"/a": i.arrivals("/a"), "/b": i.arrivals("/b")} {
		require.Len(t, counts, 100, path)
		for id, n := range counts {
			require.Equal(t, 1, n, "%s at %s", id, path)
		}
	}
}

func TestTroubleOfABatchGoesOnInRunsOfItsEvents(t *testing.T) {
	t.Parallel()
	i := start(t)
	well := i.subscribe("/well", schedule(time.Second))
	ill := i.subscribe("/ill", schedule(time.Second, time.Second))
	i.hooks.Script("/ill", receiver.Reply{Status: http.StatusServiceUnavailable, Body: "later"}, receiver.Reply{})
	accepted, err := i.client.PublishAll(t.Context(), someAdded("build", 5))
	require.NoError(t, err)
	moved := 0
	for _, one := range accepted {
		require.Equal(t, one.Run.WorkflowID, i.awaitDelivery(one.ID, well.ID, carillon.Succeeded).Run.WorkflowID)
		d := i.awaitDelivery(one.ID, ill.ID, carillon.Succeeded)
		if d.Run.WorkflowID == one.Run.WorkflowID {
			continue
		}
		moved++
		require.Equal(t, "event/"+one.ID+"/retry", d.Run.WorkflowID)
		require.Equal(t, []carillon.Outcome{carillon.OutcomeRetry, carillon.OutcomeDelivered}, outcomes(d))
		require.Equal(t, "later", d.Attempts[0].Response.Body)

		// What was redelivered shows all that was tried before, once.
		_, err := i.client.Redeliver(t.Context(), one.ID, ill.ID, 1)
		require.NoError(t, err)
		i.eventually("it was redelivered", func() bool {
			d, err = i.client.Delivery(t.Context(), one.ID, ill.ID)
			require.NoError(t, err)
			return d.Redeliveries == 1 && len(d.Attempts) == 3
		})
	}
	require.Equal(t, 1, moved)

	gone := i.subscribe("/gone", schedule(time.Second))
	i.hooks.Script("/gone", receiver.Reply{Status: http.StatusGone})
	accepted, err = i.client.PublishAll(t.Context(), someAdded("last", 2))
	require.NoError(t, err)
	i.eventually("the subscription is disabled", func() bool {
		sub, err := i.client.Subscription(t.Context(), gone.ID)
		require.NoError(t, err)
		return sub.State == carillon.Disabled
	})
	for _, one := range accepted {
		i.awaitDelivery(one.ID, well.ID, carillon.Succeeded)
	}
}

func TestWhatABatchHeldIsRecovered(t *testing.T) {
	t.Parallel()
	i := start(t)
	sub := i.subscribe("/hook")
	paused, err := i.client.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	require.Equal(t, carillon.Paused, paused.State)
	accepted, err := i.client.PublishAll(t.Context(), someAdded("build", 100))
	require.NoError(t, err)
	for _, one := range accepted {
		i.awaitDelivery(one.ID, sub.ID, carillon.Held)
	}
	_, err = i.client.Enable(t.Context(), sub.ID)
	require.NoError(t, err)
	for _, one := range accepted {
		i.awaitDelivery(one.ID, sub.ID, carillon.Succeeded)
	}
	require.Len(t, i.arrivals("/hook"), 100)
}

func TestALargeFanOutOfABatchIsPaged(t *testing.T) {
	t.Parallel()
	i := start(t)
	const subscriptions = 120
	for range subscriptions {
		i.subscribe("/hook")
	}
	accepted, err := i.client.PublishAll(t.Context(), someAdded("build", 2))
	require.NoError(t, err)
	for _, one := range accepted {
		i.eventually("all deliveries of "+one.ID, func() bool {
			page, err := i.client.Deliveries(t.Context(), client.DeliveryFilter{
				Event: one.ID, States: []carillon.DeliveryState{carillon.Succeeded}, Limit: 250,
			})
			require.NoError(t, err)
			return len(page.Items) == subscriptions
		})
	}
	for id, n := range i.arrivals("/hook") {
		require.Equal(t, subscriptions, n, id)
	}
}

// TestPostsThatShareRuns posts from many producers at once: events of their
// own, the same event, and another event under its id.
func TestPostsThatShareRuns(t *testing.T) {
	t.Parallel()
	i := start(t, "CARILLON_GROUP_COMMIT=on")
	i.subscribe("/hook")
	const producers, each = 40, 10
	var (
		mu       sync.Mutex
		runs     = map[string]bool{}
		ids      = map[string]bool{}
		answered = map[carillon.Code]int{}
		posting  sync.WaitGroup
	)
	post := func(event client.NewEvent) {
		accepted, err := i.client.Publish(t.Context(), event)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			answered[client.CodeOf(err)]++
			return
		}
		runs[accepted.Run.WorkflowID] = true
		ids[accepted.ID] = true
	}
	for p := range producers {
		posting.Go(func() {
			for n := range each {
				post(added(fmt.Sprintf("build-%d-%d", p, n)))
				common := added(fmt.Sprintf("common-%d", n))
				if p%2 == 1 {
					common.Actor = "somebody else"
				}
				post(common)
				wrong := added("wrong")
				wrong.Type = "package.addedd"
				post(wrong)
			}
		})
	}
	posting.Wait()
	require.Equal(t, map[carillon.Code]int{
		carillon.CodeEventReused: producers / 2 * each, carillon.CodeInvalid: producers * each,
	}, answered)
	require.Len(t, ids, producers*each+each)
	shared := 0
	for run := range runs {
		if strings.HasPrefix(run, "batch/") {
			shared++
		}
	}
	require.Positive(t, shared, "posts at the same time share runs")
	i.eventually("all arrived", func() bool { return len(i.arrivals("/hook")) == len(ids) })
	for id, n := range i.arrivals("/hook") {
		require.Equal(t, 1, n, id)
	}
}

// TestAnEventPostedAloneAndInABatchRingsOnce races the two.
func TestAnEventPostedAloneAndInABatchRingsOnce(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.subscribe("/hook")
	const rounds = 30
	var posting sync.WaitGroup
	for n := range rounds {
		events := someAdded(fmt.Sprintf("build-%d", n), 5)
		posting.Go(func() { i.publish(events[2]) })
		posting.Go(func() {
			_, err := i.client.PublishAll(t.Context(), events)
			require.NoError(t, err)
		})
		posting.Go(func() {
			_, err := i.client.PublishAll(t.Context(), events[1:])
			require.NoError(t, err)
		})
	}
	posting.Wait()
	i.eventually("all arrived", func() bool { return len(i.arrivals("/hook")) == rounds*5 })
	i.eventually("no run is under way", func() bool {
		page, err := i.client.Deliveries(t.Context(), client.DeliveryFilter{States: []carillon.DeliveryState{carillon.Pending, carillon.Retrying}})
		require.NoError(t, err)
		return len(page.Items) == 0
	})
	for id, n := range i.arrivals("/hook") {
		require.Equal(t, 1, n, id)
	}
}
