package workflows_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

// batchInput has n events, evt_1 and so on.
func batchInput(n int) workflows.BatchInput {
	in := workflows.BatchInput{SearchAttributes: true}
	for i := range n {
		pub := *input().Publication
		pub.Event.ID = fmt.Sprintf("evt_%d", i+1)
		in.Publications = append(in.Publications, pub)
	}
	return in
}

// routed is n events that concern all subscriptions of the route.
func routed(route activities.RouteResult, n int) activities.RouteBatchResult {
	out := activities.RouteBatchResult{Plans: route.Plans}
	for range n {
		var event activities.Routed
		for i := range route.Plans {
			event.Pending = append(event.Pending, i)
		}
		out.Events = append(out.Events, event)
	}
	return out
}

// pagedBatch is an event of a large fan-out, and one without a match.
func pagedBatch() activities.RouteBatchResult {
	return activities.RouteBatchResult{Events: []activities.Routed{{Paged: true}, {}}}
}

// retryInput is the input of the run of an event in trouble.
func retryInput(route activities.RouteResult, attempt carillon.Attempt) workflows.DispatchInput {
	in := input()
	attempt.SubscriptionID, attempt.Number, attempt.EventID = route.Plans[0].Subscription, 1, "evt_1"
	in.Retry = &workflows.Retry{
		Owner: carillon.Run{WorkflowID: "batch/1", RunID: "shared"}, Plans: route.Plans, Attempts: []carillon.Attempt{attempt},
	}
	return in
}

// runBatch runs a shared run to its end, with the runs that it starts.
func runBatch(t *testing.T, s *scripted, n int) (workflows.BatchResult, *testsuite.TestWorkflowEnvironment) {
	t.Helper()
	env := newRun(t, s)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "batch/1", TaskQueue: workflows.DispatchQueue})
	env.ExecuteWorkflow(workflows.BatchType, batchInput(n))
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	var out workflows.BatchResult
	require.NoError(t, env.GetWorkflowResult(&out))
	return out, env
}

func TestASharedRunRecordsARoundInOneStatement(t *testing.T) {
	t.Parallel()
	s := &scripted{batch: routed(plans("sub_a", "sub_b"), 3), most: 4}
	out, _ := runBatch(t, s, 3)
	require.Equal(t, workflows.BatchResult{Events: 3, Succeeded: 6}, out)
	require.Len(t, s.attempts, 6, "what one call leaves out, the next makes")
	require.Len(t, s.records, 2, "one a round")
	seen := map[string]bool{}
	for _, record := range s.records {
		for _, row := range record.Rows {
			require.Equal(t, carillon.Succeeded, row.State)
			require.Equal(t, 1, row.Attempts)
			require.Empty(t, row.MovedTo)
			seen[row.EventID+row.Subscription] = true
		}
	}
	require.Len(t, seen, 6)
}

func TestTroubleOfASharedRunGoesOnInARunOfItsEvent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replies []carillon.Attempt
		moved   bool
		state   carillon.DeliveryState
		after   []time.Duration
	}{
		"a failure":  {[]carillon.Attempt{failing(), delivered()}, true, carillon.Succeeded, []time.Duration{0, time.Minute}},
		"a throttle": {[]carillon.Attempt{{Outcome: carillon.OutcomeThrottled, RetryAfter: carillon.Duration(time.Second)}, delivered()}, true, carillon.Succeeded, []time.Duration{0, time.Second}},
		"gone":       {[]carillon.Attempt{status(carillon.OutcomeGone, 410)}, true, carillon.Failed, []time.Duration{0}},
		"a reject":   {[]carillon.Attempt{{Outcome: carillon.OutcomeReject, Error: "address not allowed"}}, false, carillon.Failed, []time.Duration{0}},
		"held":       {[]carillon.Attempt{{Outcome: carillon.OutcomeHeld}}, false, carillon.Held, []time.Duration{0}},
		"deleted":    {[]carillon.Attempt{{Outcome: carillon.OutcomeCanceled}}, false, carillon.Canceled, []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{batch: routed(plans("sub_a", "sub_b"), 1), replies: map[string][]carillon.Attempt{"sub_a": test.replies}}
			s.batch.Events[0].Jitter = 0
			env := newRun(t, s)
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "batch/1", TaskQueue: workflows.DispatchQueue})
			env.ExecuteWorkflow(workflows.BatchType, batchInput(1))
			require.NoError(t, env.GetWorkflowError())
			var out workflows.BatchResult
			require.NoError(t, env.GetWorkflowResult(&out))
			moved := ""
			for _, row := range s.records[0].Rows {
				if row.Subscription == "sub_a" {
					moved = row.MovedTo
				}
			}
			require.Equal(t, test.moved, moved == "event/evt_1/retry")
			require.Equal(t, test.moved, out.InTrouble == 1)
			if test.moved {
				// Virtual time ends with the shared run, so the one that goes on with
				// its trouble is run by itself.
				trouble := newRun(t, s)
				trouble.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "event/evt_1/retry", TaskQueue: workflows.DispatchQueue})
				in := retryInput(plans("sub_a"), test.replies[0])
				s.replies = map[string][]carillon.Attempt{"sub_a": test.replies[1:]}
				s.attempts, s.disables = nil, nil
				trouble.ExecuteWorkflow(workflows.DispatchType, in)
				require.NoError(t, trouble.GetWorkflowError())
				require.Len(t, s.after("sub_a"), len(test.after)-1)
				for i, after := range test.after[1:] {
					require.Equal(t, after, s.after("sub_a")[i])
				}
				if test.state == carillon.Failed {
					require.Len(t, s.disables, 1)
				}
			}
			require.Equal(t, test.state, s.last()["sub_a"].State)
			require.Equal(t, carillon.Succeeded, s.last()["sub_b"].State)
		})
	}
}

// TestTroubleOfSeveralRoundsIsOneRun fails two subscriptions of one event, each in
// a round of its own: the run of the event's trouble is told of both.
func TestTroubleOfSeveralRoundsIsOneRun(t *testing.T) {
	t.Parallel()
	s := &scripted{batch: routed(plans("sub_a", "sub_b", "sub_c"), 2), most: 1, replies: map[string][]carillon.Attempt{
		"sub_a": {failing(), failing(), delivered()}, "sub_c": {failing(), failing(), delivered()},
	}}
	env := newRun(t, s)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "batch/1", TaskQueue: workflows.DispatchQueue})
	started := map[string]*workflows.Retry{}
	env.SetOnChildWorkflowStartedListener(func(info *workflow.Info, _ workflow.Context, args converter.EncodedValues) {
		var in workflows.DispatchInput
		require.NoError(t, args.Get(&in))
		require.NotContains(t, started, info.WorkflowExecution.ID)
		started[info.WorkflowExecution.ID] = in.Retry
	})
	env.ExecuteWorkflow(workflows.BatchType, batchInput(2))
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, started, 2)
	for id, retry := range started {
		require.Len(t, retry.Plans, 2, id)
		require.Len(t, retry.Attempts, 2, id)
		require.Equal(t, "sub_a", retry.Plans[0].Subscription)
		require.Equal(t, "sub_c", retry.Plans[1].Subscription)
	}
}

func TestASharedRunThatIsCanceledEndsWhatWasNotTried(t *testing.T) {
	t.Parallel()
	s := &scripted{batch: routed(plans("sub_a"), 3), most: 1}
	env := newRun(t, s)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "batch/1", TaskQueue: workflows.DispatchQueue})
	env.SetOnTimerScheduledListener(func(string, time.Duration) { env.CancelWorkflow() }) // between two calls
	env.ExecuteWorkflow(workflows.BatchType, batchInput(3))
	require.Error(t, env.GetWorkflowError())
	states := map[carillon.DeliveryState]int{}
	for _, record := range s.records {
		for _, row := range record.Rows {
			states[row.State]++
		}
	}
	require.Equal(t, map[carillon.DeliveryState]int{carillon.Succeeded: 1, carillon.Canceled: 2}, states)
}
