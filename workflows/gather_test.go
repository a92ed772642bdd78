package workflows_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

// gatherRun is a Gather run in virtual time.
func gatherRun(t *testing.T, q *queue) (*testsuite.TestWorkflowEnvironment, *scripted) {
	t.Helper()
	s := &scripted{queue: q}
	env := newRun(t, s)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: carillon.GatherWorkflowID("sub_a"), TaskQueue: workflows.DispatchQueue})
	return env, s
}

// arrive adds an event at a time, and wakes the run.
func arrive(env *testsuite.TestWorkflowEnvironment, q *queue, at time.Duration, id string) {
	env.RegisterDelayedCallback(func() {
		q.add(start.Add(at), id)
		env.SignalWorkflow(workflows.SignalGather, workflows.GatherWake{Events: 1})
	}, at)
}

func gather(t *testing.T, env *testsuite.TestWorkflowEnvironment) workflows.GatherProgress {
	t.Helper()
	env.ExecuteWorkflow(workflows.GatherType, workflows.GatherInput{Subscription: "sub_a"})
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	var out workflows.GatherProgress
	require.NoError(t, env.GetWorkflowResult(&out))
	return out
}

func TestThreeEventsInFourSecondsMakeOneRequest(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1")
	env, _ := gatherRun(t, q)
	arrive(env, q, 2*time.Second, "evt_2")
	arrive(env, q, 4*time.Second, "evt_3")
	out := gather(t, env)
	require.Equal(t, []sentRequest{{5 * time.Second, []string{"evt_1", "evt_2", "evt_3"}}}, q.requests)
	require.Equal(t, 3, out.Succeeded)
	require.Equal(t, 1, out.Requests)
	require.Equal(t, carillon.OutcomeDelivered, q.settled[0].Outcome)
}

func TestMaxClosesAWindowBeforeItsTimeAndBoundsWindowsOnly(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1")
	q.max = 3
	q.delays = []carillon.Duration{carillon.Duration(time.Minute)}
	down := true
	q.receive = func([]string) activities.SendResult {
		if down {
			down = false
			return sends(failing())
		}
		return sends(delivered())
	}
	env, _ := gatherRun(t, q)
	for i := range 6 {
		arrive(env, q, time.Duration(i+1)*time.Second, fmt.Sprintf("evt_%d", i+2))
	}
	gather(t, env)
	require.Len(t, q.requests, 2)
	require.Equal(t, sentRequest{2 * time.Second, []string{"evt_1", "evt_2", "evt_3"}}, q.requests[0], "the third closes it")
	require.Equal(t, 62*time.Second, q.requests[1].After)
	require.Len(t, q.requests[1].Events, 7, "what waits after a failure goes together, however many")
}

func TestAReceiverThatIsDownGetsAllEventsInEachRetry(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_00")
	env, _ := gatherRun(t, q)
	at := func() time.Duration { return env.Now().Sub(start) }
	q.receive = func([]string) activities.SendResult {
		if at() < 40*time.Minute {
			return sends(failing())
		}
		return sends(delivered())
	}
	for i := 1; i < 40; i++ {
		arrive(env, q, time.Duration(i)*time.Minute, fmt.Sprintf("evt_%02d", i))
	}
	out := gather(t, env)
	var after []time.Duration
	var sizes []int
	for _, r := range q.requests {
		after, sizes = append(after, r.After), append(sizes, len(r.Events))
	}
	require.Equal(t, []time.Duration{
		5 * time.Second, 65 * time.Second, 6*time.Minute + 5*time.Second, 36*time.Minute + 5*time.Second,
		3*time.Hour + 36*time.Minute + 5*time.Second,
	}, after, "the schedule of the oldest")
	require.Equal(t, []int{1, 2, 7, 37, 40}, sizes)
	require.Equal(t, 40, out.Succeeded)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Succeeded: 40}, q.states())
	require.Equal(t, 5, q.rows[0].Attempts, "each event keeps its own count")
	require.Equal(t, 1, q.rows[39].Attempts)
}

func TestAReceiverThatIsDownForGoodIsDisabledAndNothingIsLost(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1")
	q.delays = []carillon.Duration{carillon.Duration(time.Second), carillon.Duration(2 * time.Second), carillon.Duration(3 * time.Second)}
	q.receive = func([]string) activities.SendResult { return sends(failing()) }
	env, s := gatherRun(t, q)
	arrive(env, q, 6500*time.Millisecond, "evt_2")
	arrive(env, q, 9*time.Second, "evt_3")
	gather(t, env)
	require.Equal(t, []sentRequest{
		{5 * time.Second, []string{"evt_1"}}, {6 * time.Second, []string{"evt_1"}},
		{8 * time.Second, []string{"evt_1", "evt_2"}}, {11 * time.Second, []string{"evt_1", "evt_2", "evt_3"}},
	}, q.requests)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Failed: 1, carillon.Held: 2}, q.states())
	require.Equal(t, carillon.Failed, q.rows[0].state)
	require.Len(t, s.disables, 1)
	require.Equal(t, "evt_1", s.disables[0].EventID)
	require.Equal(t, 4, s.disables[0].Attempts)

	// Enabled again, what is held goes in one request, in its order.
	q.state, q.receive, q.requests = carillon.Enabled, nil, nil
	for i := range q.rows[1:] {
		q.rows[i+1].state, q.rows[i+1].Attempts = carillon.Pending, 0
	}
	env, _ = gatherRun(t, q)
	gather(t, env)
	require.Len(t, q.requests, 1)
	require.Equal(t, []string{"evt_2", "evt_3"}, q.requests[0].Events)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Failed: 1, carillon.Succeeded: 2}, q.states())
}

func TestAProfileThatHoldsFailsNothing(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1", "evt_2")
	q.delays, q.holds = nil, true
	q.receive = func([]string) activities.SendResult { return sends(failing()) }
	env, _ := gatherRun(t, q)
	gather(t, env)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Held: 2}, q.states())
}

func TestAPolicyThatNeverDisablesFailsWhatRanOutAndGoesOnWithTheRest(t *testing.T) {
	t.Parallel()
	for _, holds := range []bool{false, true} {
		q := newQueue(start, "evt_1")
		q.delays, q.policy, q.holds = []carillon.Duration{carillon.Duration(10 * time.Second)}, carillon.DisableNever, holds
		q.receive = func(ids []string) activities.SendResult {
			if ids[0] == "evt_1" {
				return sends(failing())
			}
			return sends(delivered())
		}
		env, _ := gatherRun(t, q)
		arrive(env, q, 7*time.Second, "evt_2")
		gather(t, env)
		require.Equal(t, []sentRequest{
			{5 * time.Second, []string{"evt_1"}}, {15 * time.Second, []string{"evt_1", "evt_2"}}, {25 * time.Second, []string{"evt_2"}},
		}, q.requests)
		require.Equal(t, map[carillon.DeliveryState]int{carillon.Failed: 1, carillon.Succeeded: 1}, q.states())
	}
}

func TestAPoisonEventAmongAHundredIsFoundInFifteenRequests(t *testing.T) {
	t.Parallel()
	ids := numbered(100)
	for _, poison := range []int{0, 1, 37, 49, 50, 98, 99} {
		q := newQueue(start, ids...)
		q.receive = poisoned(ids[poison])
		env, s := gatherRun(t, q)
		gather(t, env)
		require.LessOrEqual(t, len(q.requests), 15)
		require.Equal(t, map[carillon.DeliveryState]int{carillon.Succeeded: 99, carillon.Failed: 1}, q.states())
		require.Equal(t, carillon.Failed, q.rows[poison].state)
		require.Contains(t, q.rows[poison].err, "422")
		require.Equal(t, 1, q.rows[poison].Attempts, "looking for it is one attempt")
		require.Len(t, q.settled, 1)
		require.Equal(t, carillon.OutcomeDelivered, q.settled[0].Outcome, "the endpoint is well")
		require.Empty(t, s.disables)
	}
}

func TestAReceiverThatRefusesBothHalvesIsInTrouble(t *testing.T) {
	t.Parallel()
	q := newQueue(start, numbered(100)...)
	calls := 0
	q.receive = func([]string) activities.SendResult {
		if calls++; calls <= 3 {
			return sends(status(carillon.OutcomeRetry, http.StatusBadRequest))
		}
		return sends(delivered())
	}
	env, _ := gatherRun(t, q)
	gather(t, env)
	require.Len(t, q.requests, 4, "all, both halves, and all again")
	require.Len(t, q.requests[3].Events, 100)
	require.Equal(t, time.Minute, q.requests[3].After, "a hundred close their window at once")
	require.Equal(t, carillon.OutcomeRetry, q.settled[0].Outcome, "a failed request counts once")
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Succeeded: 100}, q.states())
}

func TestAnotherFailureEndsTheSearch(t *testing.T) {
	t.Parallel()
	q := newQueue(start, numbered(8)...)
	calls := 0
	q.receive = func(ids []string) activities.SendResult {
		calls++
		switch calls {
		case 1:
			return sends(status(carillon.OutcomeRetry, http.StatusRequestEntityTooLarge))
		case 3:
			return sends(failing())
		}
		return sends(delivered())
	}
	env, _ := gatherRun(t, q)
	gather(t, env)
	require.Len(t, q.requests, 4)
	require.Equal(t, q.requests[2].Events, q.requests[3].Events, "the half that failed goes again, the other was delivered")
}

func TestWhatAnAnswerNamesAsFailedIsUnsuccessful(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1", "evt_2", "evt_3")
	calls := 0
	q.receive = func([]string) activities.SendResult {
		out := sends(delivered())
		if calls++; calls == 1 {
			out.NotTaken = []string{"evt_2"}
			out.Rejected = map[string]string{"evt_3": "it cannot be written"}
		}
		return out
	}
	env, _ := gatherRun(t, q)
	gather(t, env)
	require.Equal(t, []string{"evt_2"}, q.requests[1].Events)
	require.Equal(t, 65*time.Second, q.requests[1].After)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Succeeded: 2, carillon.Failed: 1}, q.states())
}

func TestWhatDoesNotFitGoesInTheNextRequestAtOnce(t *testing.T) {
	t.Parallel()
	q := newQueue(start, numbered(5)...)
	q.split = 2
	env, _ := gatherRun(t, q)
	gather(t, env)
	require.Equal(t, []sentRequest{
		{5 * time.Second, []string{"evt_000", "evt_001"}}, {5 * time.Second, []string{"evt_002", "evt_003"}}, {5 * time.Second, []string{"evt_004"}},
	}, q.requests)
}

func TestGoneDisablesAtOnceAndHoldsTheRest(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1", "evt_2")
	q.receive = func([]string) activities.SendResult { return sends(status(carillon.OutcomeGone, http.StatusGone)) }
	env, s := gatherRun(t, q)
	gather(t, env)
	require.Len(t, q.requests, 1)
	require.True(t, s.disables[0].Gone)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Failed: 1, carillon.Held: 1}, q.states())
}

func TestWhatIsPausedMeanwhileIsHeldWithoutAnAttempt(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1", "evt_2")
	env, _ := gatherRun(t, q)
	env.RegisterDelayedCallback(func() { q.state = carillon.Paused }, time.Second)
	gather(t, env)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Held: 2}, q.states())
	require.Zero(t, q.rows[0].Attempts)
}

func TestARequestWhoseWorkerIsLostCounts(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1")
	calls := 0
	q.receive = func([]string) activities.SendResult {
		if calls++; calls == 1 {
			return sends(carillon.Attempt{Error: "panic"})
		}
		return sends(delivered())
	}
	env, _ := gatherRun(t, q)
	gather(t, env)
	require.Equal(t, 2, q.rows[0].Attempts)
	require.Equal(t, carillon.Succeeded, q.rows[0].state)
}

func TestAThrottledRequestCostsNoAttempt(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1")
	calls := 0
	q.receive = func([]string) activities.SendResult {
		if calls++; calls <= 2 {
			return sends(carillon.Attempt{Outcome: carillon.OutcomeThrottled, RetryAfter: carillon.Duration(10 * time.Second)})
		}
		return sends(delivered())
	}
	env, _ := gatherRun(t, q)
	gather(t, env)
	require.Equal(t, 35*time.Second, q.requests[2].After)
	require.Equal(t, 1, q.rows[0].Attempts)
}

func TestAnEventThatComesDuringTheLastLookIsNotLost(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1")
	env, _ := gatherRun(t, q)
	q.looked = func(n int) {
		if n == 3 { // after the request: this one found nothing
			q.add(env.Now(), "evt_2")
			env.SignalWorkflow(workflows.SignalGather, workflows.GatherWake{Events: 1})
		}
	}
	gather(t, env)
	require.Len(t, q.requests, 2)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Succeeded: 2}, q.states())
}

func TestRetryNowSendsWhatWaits(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1")
	down := true
	q.receive = func([]string) activities.SendResult {
		if down {
			return sends(failing())
		}
		return sends(delivered())
	}
	env, _ := gatherRun(t, q)
	env.RegisterDelayedCallback(func() {
		down = false
		env.UpdateWorkflow(workflows.UpdateRetryNow, "", accepts(t), workflows.UpdateInput{Subscription: "sub_a"})
	}, 20*time.Second)
	gather(t, env)
	require.Equal(t, 20*time.Second, q.requests[1].After)
}

func TestALongHistoryEndsAndItsWorkGoesOnInTheNext(t *testing.T) {
	t.Parallel()
	q := newQueue(start, "evt_1")
	env, _ := gatherRun(t, q)
	env.RegisterDelayedCallback(func() {
		env.SetContinueAsNewSuggested(true)
		q.add(start.Add(2*time.Second), "evt_2")
		env.SignalWorkflow(workflows.SignalGather, workflows.GatherWake{Events: 1})
	}, 2*time.Second)
	env.ExecuteWorkflow(workflows.GatherType, workflows.GatherInput{Subscription: "sub_a"})
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	require.Empty(t, q.requests)
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Pending: 2}, q.states(), "the rows are the queue")
}

func TestADispatchRunHandsOverWhatIsGathered(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a", "sub_b")}
	s.route.Plans[1].Gathered = true
	s.localFails = map[string]bool{activities.Wake: true}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	out := result(t, env)
	require.Equal(t, workflows.DispatchResult{Succeeded: 1, Gathered: 1}, out)
	require.Equal(t, []activities.WakeInput{{Subscriptions: []activities.Woken{{Subscription: "sub_b", Name: "watchers sub_b", Events: 1}}}}, s.woken)
	require.Empty(t, s.after("sub_b"))
}

func TestARecoveryHandsABacklogToTheBatches(t *testing.T) {
	t.Parallel()
	s := &scripted{backlog: 3, batched: true}
	env := newRun(t, s)
	env.RegisterWorkflowWithOptions(workflows.Recover, workflow.RegisterOptions{Name: workflows.RecoverType})
	env.ExecuteWorkflow(workflows.RecoverType, workflows.RecoverInput{
		Subscription: "sub_a", Requests: []workflows.RecoverRequest{{Backlog: carillon.Backlog{SubscriptionID: "sub_a", States: []carillon.DeliveryState{carillon.Held}}}},
	})
	require.NoError(t, env.GetWorkflowError())
	var out workflows.RecoverProgress
	require.NoError(t, env.GetWorkflowResult(&out))
	require.Equal(t, 3, out.HandedOver)
	require.Empty(t, s.attempts)
}
