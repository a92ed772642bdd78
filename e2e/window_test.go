package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// window gathers a subscription's events.
func window(d time.Duration) func(*client.Subscription) {
	return func(s *client.Subscription) { s.Batch = &carillon.Batch{Window: carillon.Duration(d), Max: 100} }
}

// carried returns the ids of the events in a request.
func carried(t *testing.T, r receiver.Request) []string {
	t.Helper()
	var events []payload
	require.NoError(t, json.Unmarshal(r.Body, &events), "%s", r.Body)
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

// inAll is all that requests carried.
func inAll(requests []receiver.Request) string {
	var all strings.Builder
	for _, r := range requests {
		all.Write(r.Body)
	}
	return all.String()
}

// publishEvery publishes n events, one each interval.
func (i *instance) publishEvery(name string, n int, interval time.Duration) []string {
	i.t.Helper()
	ids := make([]string, n)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for k := range ids {
		if k > 0 {
			<-tick.C
		}
		ids[k] = i.publish(added(fmt.Sprintf("%s %d", name, k))).ID
	}
	return ids
}

func TestThreeEventsInFourSecondsMakeOneRequest(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		sub := i.subscribe("/hook", window(5*time.Second))
		alone := i.subscribe("/alone")
		ids := i.publishEvery("event", 3, 1500*time.Millisecond)
		i.awaitState(sub.ID, carillon.Succeeded, 3)
		i.awaitState(alone.ID, carillon.Succeeded, 3)
		requests := i.hooks.Requests("/hook")
		require.Len(t, requests, 1)
		require.Equal(t, ids, carried(t, requests[0]))
		require.Len(t, i.hooks.Requests("/alone"), 3)
		delivery := i.awaitDelivery(ids[1], sub.ID, carillon.Succeeded)
		require.Equal(t, carillon.GatherWorkflowID(sub.ID), delivery.Run.WorkflowID)
		require.Len(t, delivery.Attempts, 1)
		require.Equal(t, 1, delivery.Attempts[0].Number)
		require.Equal(t, ids[1], delivery.Attempts[0].EventID)
		require.Equal(t, len(requests[0].Body), delivery.Attempts[0].Request.PayloadBytes)

		// Again, it goes alone: a batch of one, under its own id.
		_, err := i.client.Redeliver(t.Context(), ids[1], sub.ID, 1)
		require.NoError(t, err)
		again := i.requests("/hook", 2)[1]
		require.Equal(t, ids[1:2], carried(t, again))
		require.Equal(t, ids[1], again.Header.Get("webhook-id"))
		i.eventually("both attempts are told", func() bool {
			return len(i.awaitDelivery(ids[1], sub.ID, carillon.Succeeded).Attempts) == 2
		})
	})
}

func TestAReceiverThatIsBackGetsAllThatWaitedInOneRequest(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable}, receiver.Reply{Status: http.StatusServiceUnavailable}, receiver.Reply{})
	sub := i.subscribe("/hook", window(time.Second), schedule(2*time.Second, 4*time.Second, 3*time.Second))
	ids := i.publishEvery("event", 8, 500*time.Millisecond)
	requests := i.requests("/hook", 3)
	i.awaitState(sub.ID, carillon.Succeeded, len(ids))
	require.Subset(t, carried(t, requests[1]), carried(t, requests[0]))
	require.Subset(t, carried(t, requests[2]), carried(t, requests[1]))
	var got []string
	for _, r := range i.hooks.Requests("/hook")[2:] {
		got = append(got, carried(t, r)...)
	}
	require.Equal(t, ids, got, "each once, in their order")
	oldest := i.awaitDelivery(ids[0], sub.ID, carillon.Succeeded)
	require.Equal(t, []carillon.Outcome{carillon.OutcomeRetry, carillon.OutcomeRetry, carillon.OutcomeDelivered}, outcomes(oldest))
	require.Equal(t, 3, oldest.Attempts[2].Number)
}

func TestAReceiverThatStaysDownIsDisabledAndItsBacklogDrainsInBatches(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		i.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable})
		sub := i.subscribe("/hook", window(time.Second), schedule(time.Second, 2*time.Second, 3*time.Second))
		ids := i.publishEvery("event", 10, 500*time.Millisecond)
		i.awaitDelivery(ids[0], sub.ID, carillon.Failed)
		after := i.publish(added("after"))
		ids = append(ids, after.ID)
		i.awaitState(sub.ID, carillon.Held, len(ids)-1)
		require.Len(t, i.hooks.Requests("/hook"), 4)
		read, err := i.client.Subscription(t.Context(), sub.ID)
		require.NoError(t, err)
		require.Equal(t, carillon.Disabled, read.State)
		require.Equal(t, carillon.GatherWorkflowID(sub.ID), read.DisabledBy)

		i.hooks.Script("/hook", receiver.Reply{})
		_, err = i.client.Enable(t.Context(), sub.ID)
		require.NoError(t, err)
		i.awaitState(sub.ID, carillon.Succeeded, len(ids)-1)
		requests := i.hooks.Requests("/hook")
		require.Len(t, requests, 5, "one for all")
		require.Equal(t, ids[1:], carried(t, requests[4]))
		second := i.awaitDelivery(ids[1], sub.ID, carillon.Succeeded)
		require.Len(t, second.Attempts, 1+strings.Count(inAll(requests[:4]), ids[1]), "with those before it was held")
		require.Equal(t, carillon.OutcomeDelivered, second.Attempts[len(second.Attempts)-1].Outcome)
	})
}

func TestAPoisonEventIsFoundAmongItsBatch(t *testing.T) {
	t.Parallel()
	i := start(t)
	sub := i.subscribe("/hook", window(time.Second))
	// All, and of each halving the left one, are refused: the first event is it.
	refused, taken := receiver.Reply{Status: http.StatusUnprocessableEntity}, receiver.Reply{}
	i.hooks.Script("/hook", refused, refused, taken, refused, taken, refused, taken, taken)
	_, err := i.client.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	ids := i.publishAll("event", 8)
	i.awaitState(sub.ID, carillon.Held, 8)
	_, err = i.client.Enable(t.Context(), sub.ID)
	require.NoError(t, err)
	i.awaitState(sub.ID, carillon.Succeeded, 7)
	requests := i.requests("/hook", 7)
	poison := carried(t, requests[5])
	require.Len(t, poison, 1)
	require.Contains(t, ids, poison[0])
	delivery := i.awaitDelivery(poison[0], sub.ID, carillon.Failed)
	require.Equal(t, http.StatusUnprocessableEntity, delivery.Status)
	require.Len(t, delivery.Attempts, 4, "every request that held it")
	read, err := i.client.Subscription(t.Context(), sub.ID)
	require.NoError(t, err)
	require.Equal(t, carillon.Enabled, read.State)
}

func TestKilledInAWindowAndInARetryNothingIsLost(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/hook", receiver.Reply{Status: http.StatusServiceUnavailable}, receiver.Reply{})
	sub := i.subscribe("/hook", window(15*time.Second), schedule(8*time.Second))
	ids := i.publishEvery("window", 3, 100*time.Millisecond)
	// What no worker has matched yet comes a task's timeout later, on its own.
	i.awaitState(sub.ID, carillon.Pending, 3)
	require.Empty(t, i.hooks.Requests("/hook"), "the window is open")
	i.carillon.kill()
	i.temporal.kill()
	i.startTemporal()
	i.startCarillon()
	first := i.requests("/hook", 1)[0]
	require.Equal(t, ids, carried(t, first))

	// Now it waits for its retry.
	i.awaitState(sub.ID, carillon.Retrying, 3)
	ids = append(ids, i.publish(added("meanwhile")).ID)
	i.awaitState(sub.ID, carillon.Pending, 1)
	i.carillon.kill()
	i.temporal.kill()
	i.startTemporal()
	i.startCarillon()
	i.awaitState(sub.ID, carillon.Succeeded, len(ids))
	require.Equal(t, ids, carried(t, i.requests("/hook", 2)[1]))
	require.Len(t, i.hooks.Requests("/hook"), 2)
}

func TestAWaitingBatchCanBeSentNowAndAnEventTakenOut(t *testing.T) {
	t.Parallel()
	i := start(t)
	sub := i.subscribe("/hook", window(time.Hour))
	ids := i.publishEvery("event", 3, 10*time.Millisecond)
	i.awaitState(sub.ID, carillon.Pending, 3)
	canceled, err := i.client.CancelDelivery(t.Context(), ids[1], sub.ID)
	require.NoError(t, err)
	require.Equal(t, carillon.Canceled, canceled.State)
	i.eventually("the run waits", func() bool {
		_, err := i.client.RetryNow(t.Context(), ids[0], sub.ID)
		return err == nil
	})
	i.awaitState(sub.ID, carillon.Succeeded, 2)
	require.Equal(t, []string{ids[0], ids[2]}, carried(t, i.requests("/hook", 1)[0]))
}
