package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// disabled brings a subscription to a receiver that is down to where its
// schedule ran out.
func (i *instance) disabled(path string) client.Subscription {
	i.t.Helper()
	i.hooks.Script(path, receiver.Reply{Status: http.StatusServiceUnavailable})
	sub := i.subscribe(path, schedule(time.Second, 2*time.Second, 3*time.Second))
	accepted := i.publish(added("the one that fails"))
	i.awaitDelivery(accepted.ID, sub.ID, carillon.Failed)
	require.Len(i.t, i.requests(path, 4), 4)
	return sub
}

func (i *instance) awaitState(subscription string, state carillon.DeliveryState, n int) {
	i.t.Helper()
	i.eventually(fmt.Sprintf("%d deliveries are %s", n, state), func() bool {
		count, cursor := 0, ""
		for {
			page, err := i.client.Deliveries(i.t.Context(), client.DeliveryFilter{
				Subscription: subscription, States: []carillon.DeliveryState{state}, Limit: 250, Cursor: cursor,
			})
			require.NoError(i.t, err)
			count += len(page.Items)
			if cursor = page.NextCursor; cursor == "" {
				return count == n
			}
		}
	})
}

func TestWhatWasHeldArrivesOldestFirstAndRamping(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		sub := i.disabled("/hook")
		const events = 200
		ids := make([]string, events)
		for n := range ids {
			ids[n] = i.publish(added(strconv.Itoa(n))).ID
		}
		i.awaitState(sub.ID, carillon.Held, events)
		require.Len(t, i.hooks.Requests("/hook"), 4, "none was attempted")

		dry, err := i.client.Recover(t.Context(), sub.ID, client.Recover{DryRun: true})
		require.NoError(t, err)
		require.Equal(t, events, dry.Matched)

		// The receiver is back; its first answer is kept waiting.
		release := make(chan struct{})
		i.hooks.Script("/hook", receiver.Reply{Hang: release}, receiver.Reply{})
		_, err = i.client.Enable(t.Context(), sub.ID)
		require.NoError(t, err)
		first := i.requests("/hook", 5)[4]
		require.Equal(t, ids[0], read(t, first).ID, "the oldest")
		progress, err := i.client.Recovery(t.Context(), sub.ID)
		require.NoError(t, err)
		require.True(t, progress.Running)
		require.Equal(t, 1, progress.InFlight)
		require.Len(t, i.hooks.Requests("/hook"), 5, "alone")
		close(release)

		i.awaitState(sub.ID, carillon.Succeeded, events)
		requests := i.hooks.Requests("/hook")[4:]
		require.Len(t, requests, events, "each once")
		position := map[string]int{}
		for at, r := range requests {
			position[read(t, r).ID] = at
		}
		for n, id := range ids { // a window of at most 32 has no order within
			require.InDelta(t, n, position[id], 32)
		}
		require.Equal(t, ids[1:3], sorted2(read(t, requests[1]).ID, read(t, requests[2]).ID, ids))

		delivery := i.awaitDelivery(ids[7], sub.ID, carillon.Succeeded)
		require.Equal(t, 1, delivery.Redeliveries)
		require.Len(t, delivery.Attempts, 1)
	})
}

// sorted2 returns two ids in the order in which they were published.
func sorted2(a, b string, published []string) []string {
	for _, id := range published {
		switch id {
		case a:
			return []string{a, b}
		case b:
			return []string{b, a}
		}
	}
	return nil
}

func TestADrainSurvivesRestartsOfTheWorkerAndOfTemporal(t *testing.T) {
	t.Parallel()
	i := start(t)
	sub := i.subscribe("/hook")
	_, err := i.client.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	const events = 120
	for n := range events {
		i.publish(added(strconv.Itoa(n)))
	}
	i.awaitState(sub.ID, carillon.Held, events)
	_, err = i.client.Enable(t.Context(), sub.ID)
	require.NoError(t, err)
	i.requests("/hook", 20)
	i.carillon.kill()
	i.temporal.kill()
	i.startTemporal()
	i.startCarillon()
	i.awaitState(sub.ID, carillon.Succeeded, events)
	seen := map[string]int{}
	for _, r := range i.hooks.Requests("/hook") {
		seen[read(t, r).ID]++
	}
	require.Len(t, seen, events, "nothing is lost")
	require.LessOrEqual(t, len(i.hooks.Requests("/hook")), events+32, "nothing is doubled but what was in flight")
}

func TestNoEventIsStuckWhenADrainEnds(t *testing.T) {
	t.Parallel()
	i := start(t)
	sub := i.subscribe("/hook")
	const rounds = 40
	for n := range rounds {
		_, err := i.client.Pause(t.Context(), sub.ID)
		require.NoError(t, err)
		i.publish(added(fmt.Sprintf("before %d", n)))
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := i.client.Publish(t.Context(), added(fmt.Sprintf("during %d", n))); err != nil {
				t.Error(err)
			}
		})
		_, err = i.client.Enable(t.Context(), sub.ID)
		require.NoError(t, err)
		wg.Wait()
	}
	i.awaitState(sub.ID, carillon.Succeeded, 2*rounds)
}

func TestAnEventIsRedeliveredFromTheHistoryOfItsRun(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		i.hooks.Script("/flaky", receiver.Reply{}, receiver.Reply{}, receiver.Reply{Status: 503}, receiver.Reply{})
		sub := i.subscribe("/flaky", schedule(3*time.Second))
		accepted := i.publish(added("1"))
		i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)
		i.carillon.stop(t)
		i.startCarillon() // another process

		// Ten double clicks are one.
		runs := make([]client.Accepted, 10)
		var wg sync.WaitGroup
		for n := range runs {
			wg.Go(func() {
				var err error
				runs[n], err = i.client.Redeliver(t.Context(), accepted.ID, sub.ID, 1)
				if code := client.CodeOf(err); err != nil && code != carillon.CodeInProgress {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		requests := i.requests("/flaky", 2)
		i.eventually("the redelivery is recorded", func() bool {
			delivery := i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)
			return delivery.Redeliveries == 1 && len(delivery.Attempts) == 2
		})
		require.Len(t, i.hooks.Requests("/flaky"), 2)
		require.Equal(t, requests[0].Body, requests[1].Body)
		require.Equal(t, requests[0].Header.Get("webhook-id"), requests[1].Header.Get("webhook-id"))

		// While it is retrying, retry-now is the way.
		_, err := i.client.Redeliver(t.Context(), accepted.ID, sub.ID, 2)
		require.NoError(t, err)
		i.awaitDelivery(accepted.ID, sub.ID, carillon.Retrying)
		_, err = i.client.Redeliver(t.Context(), accepted.ID, sub.ID, 3)
		require.Equal(t, carillon.CodeInProgress, client.CodeOf(err))
		i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)

		temporal := i.temporalClient()
		_, err = temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace:         "default",
			WorkflowExecution: &common.WorkflowExecution{WorkflowId: accepted.Run.WorkflowID},
		})
		require.NoError(t, err)
		i.eventually("its history is gone", func() bool {
			_, err := temporal.DescribeWorkflowExecution(t.Context(), accepted.Run.WorkflowID, "")
			return err != nil
		})
		i.carillon.stop(t)
		i.startCarillon()
		_, err = i.client.Redeliver(t.Context(), accepted.ID, sub.ID, 3)
		require.Equal(t, carillon.CodeExpired, client.CodeOf(err))
	})
}

func TestWhatFailedIsRecoveredInBulk(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/down", receiver.Reply{Status: 503})
	sub := i.subscribe("/down", func(s *client.Subscription) {
		s.Retry = &carillon.Retry{Schedule: []carillon.Duration{}, Disable: carillon.DisableNever}
	})
	const events = 12
	for n := range events {
		i.publish(added(strconv.Itoa(n)))
	}
	i.awaitState(sub.ID, carillon.Failed, events)
	i.hooks.Script("/down", receiver.Reply{})
	failed := client.Recover{States: []carillon.DeliveryState{carillon.Failed}}
	dry := failed
	dry.DryRun = true
	counted, err := i.client.Recover(t.Context(), sub.ID, dry)
	require.NoError(t, err)
	require.Equal(t, events, counted.Matched)
	_, err = i.client.Recover(t.Context(), sub.ID, failed)
	require.NoError(t, err)
	i.awaitState(sub.ID, carillon.Succeeded, events)
	require.Len(t, i.hooks.Requests("/down"), 2*events)
	i.eventually("the recovery has ended", func() bool {
		progress, err := i.client.Recovery(t.Context(), sub.ID)
		require.NoError(t, err)
		return !progress.Running && progress.Succeeded == events
	})
}
