package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// publishAll publishes events from several producers at once, and returns their
// ids.
func (i *instance) publishAll(name string, events int) []string {
	i.t.Helper()
	ids := make([]string, events)
	next := make(chan int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for n := range next {
				accepted, err := i.client.Publish(i.t.Context(), added(fmt.Sprintf("%s %d", name, n)))
				if err != nil {
					i.t.Error(err)
				}
				ids[n] = accepted.ID
			}
		})
	}
	for n := range events {
		next <- n
	}
	close(next)
	wg.Wait()
	require.False(i.t, i.t.Failed())
	return ids
}

func (i *instance) health(subscription string) client.Health {
	i.t.Helper()
	sub, err := i.client.Subscription(i.t.Context(), subscription)
	require.NoError(i.t, err)
	require.NotNil(i.t, sub.Health)
	return *sub.Health
}

func (i *instance) count(subscription string, state carillon.DeliveryState) int {
	i.t.Helper()
	count, cursor := 0, ""
	for {
		page, err := i.client.Deliveries(i.t.Context(), client.DeliveryFilter{
			Subscription: subscription, States: []carillon.DeliveryState{state}, Limit: 250, Cursor: cursor,
		})
		require.NoError(i.t, err)
		count += len(page.Items)
		if cursor = page.NextCursor; cursor == "" {
			return count
		}
	}
}

// A receiver that is away costs a few runs that retry, however many events
// come; the others are held, and arrive once it is back.
func TestAReceiverThatIsAwayHasFewOpenRunsAndLosesNothing(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		i.hooks.Script("/away", receiver.Reply{Status: http.StatusServiceUnavailable})
		sub := i.subscribe("/away", schedule(30*time.Second, 30*time.Second, time.Minute))
		require.Equal(t, carillon.HealthOK, i.health(sub.ID).State)
		const events = 400
		i.publishAll("away", events)
		i.eventually("what is not held retries", func() bool {
			return i.count(sub.ID, carillon.Held)+i.count(sub.ID, carillon.Retrying) == events
		})
		health := i.health(sub.ID)
		require.Equal(t, carillon.HealthOpen, health.State)
		require.GreaterOrEqual(t, health.Failures, carillon.BreakerThreshold)
		require.False(t, health.Since.IsZero())
		require.True(t, health.NextProbe.After(health.Since))
		retrying := i.count(sub.ID, carillon.Retrying)
		const inFlight = 32 // at most, at one endpoint, when the breaker opens
		require.LessOrEqual(t, retrying, carillon.BreakerThreshold+inFlight)
		require.LessOrEqual(t, len(i.hooks.Requests("/away")), carillon.BreakerThreshold+inFlight)
		temporal := i.temporalClient()
		i.eventually("the runs of what is held have ended", func() bool {
			answer, err := temporal.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
				Namespace: "default", Query: `WorkflowType = "Dispatch" AND ExecutionStatus = "Running"`,
			})
			require.NoError(t, err)
			return answer.GetCount() <= int64(retrying)
		})
		_, metrics := i.get("/metrics")
		require.Contains(t, metrics, `carillon_subscriptions{health="open"} 1`)
		require.Contains(t, metrics, `carillon_breaker_transitions_total{to="open"} 1`)

		// The receiver is back: its probe closes the breaker.
		asked := len(i.hooks.Requests("/away"))
		i.hooks.Script("/away", receiver.Reply{})
		i.awaitState(sub.ID, carillon.Succeeded, events)
		require.Equal(t, carillon.HealthOK, i.health(sub.ID).State)
		seen := map[string]int{}
		for _, r := range i.hooks.Requests("/away")[asked:] {
			seen[read(t, r).ID]++
		}
		require.Len(t, seen, events, "each once")
		require.Len(t, i.hooks.Requests("/away"), asked+events)
		i.eventually("the recovery has ended", func() bool {
			progress, err := i.client.Recovery(t.Context(), sub.ID)
			require.NoError(t, err)
			return !progress.Running
		})
	})
}

// An endpoint that hangs has eight attempts in flight, and no more: the others
// wait, and what is for somebody else does not.
func TestAReceiverThatHangsDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	i := start(t)
	release := make(chan struct{})
	i.hooks.Script("/hangs", receiver.Reply{Hang: release})
	hangs := i.subscribe("/hangs", func(s *client.Subscription) {
		s.Endpoint = client.Webhook{URL: i.hook + "/hangs", Timeout: carillon.Duration(30 * time.Second)}
	})
	i.subscribe("/well")
	const events = 60
	ids := i.publishAll("hangs", events)
	i.requests("/well", events)
	require.Len(t, i.hooks.Requests("/hangs"), 8)
	i.eventually("the others were put off", func() bool {
		_, metrics := i.get("/metrics")
		return metric(metrics, "carillon_throttled_total") >= events-8
	})
	require.Len(t, i.hooks.Requests("/hangs"), 8)
	_, metrics := i.get("/metrics")
	require.InDelta(t, 8, metric(metrics, "carillon_attempts_in_flight"), 0)

	close(release)
	i.awaitState(hangs.ID, carillon.Succeeded, events)
	seen := map[string]bool{}
	for _, r := range i.hooks.Requests("/hangs") {
		seen[read(t, r).ID] = true
	}
	for _, id := range ids {
		require.True(t, seen[id])
	}
	require.Len(t, i.hooks.Requests("/hangs"), events, "being put off is no attempt")
}

// A worker that is killed while the breaker is open goes on probing when it is
// back.
func TestProbingSurvivesAKill(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/away", receiver.Reply{Status: http.StatusServiceUnavailable})
	sub := i.subscribe("/away", schedule(3*time.Second, 3*time.Second, 3*time.Second, time.Minute))
	const events = 60
	i.publishAll("away", events)
	i.eventually("the breaker is open", func() bool { return i.health(sub.ID).State == carillon.HealthOpen })
	i.carillon.kill()
	i.hooks.Script("/away", receiver.Reply{})
	i.startCarillon()
	i.awaitState(sub.ID, carillon.Succeeded, events)
	require.Equal(t, carillon.HealthOK, i.health(sub.ID).State)
}

// Somebody who enables a subscription gives its endpoint another chance at once.
func TestEnablingClosesTheBreaker(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/away", receiver.Reply{Status: http.StatusServiceUnavailable})
	sub := i.subscribe("/away", schedule(time.Hour))
	const events = 40
	i.publishAll("away", events)
	i.eventually("the breaker is open", func() bool { return i.health(sub.ID).State == carillon.HealthOpen })
	i.eventually("what is not held retries", func() bool {
		return i.count(sub.ID, carillon.Held)+i.count(sub.ID, carillon.Retrying) == events
	})
	retrying := i.count(sub.ID, carillon.Retrying)
	i.hooks.Script("/away", receiver.Reply{})
	enabled, err := i.client.Enable(t.Context(), sub.ID)
	require.NoError(t, err)
	require.Equal(t, carillon.HealthOK, enabled.Health.State)
	i.awaitState(sub.ID, carillon.Succeeded, events-retrying)
	require.Equal(t, retrying, i.count(sub.ID, carillon.Retrying), "these wait for their timers")
}

// metric reads a metric without labels; -1 when it is not there.
func metric(text, name string) float64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err == nil {
				return n
			}
		}
	}
	return -1
}
