package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

func TestARunThatIsCanceledInTemporalEndsItsDeliveries(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/down", receiver.Reply{Status: 503})
	sub := i.subscribe("/down")
	accepted := i.publish(added("1"))
	i.awaitDelivery(accepted.ID, sub.ID, carillon.Retrying)
	require.NoError(t, i.temporalClient().CancelWorkflow(t.Context(), accepted.Run.WorkflowID, ""))
	delivery := i.awaitDelivery(accepted.ID, sub.ID, carillon.Canceled)
	require.Len(t, delivery.Attempts, 1)
}

func TestARunThatWasTerminatedIsRedelivered(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/hook", receiver.Reply{Status: 503}, receiver.Reply{})
	sub := i.subscribe("/hook")
	accepted := i.publish(added("1"))
	i.awaitDelivery(accepted.ID, sub.ID, carillon.Retrying)
	_, err := i.client.Redeliver(t.Context(), accepted.ID, sub.ID, 1)
	require.Equal(t, carillon.CodeInProgress, client.CodeOf(err))
	require.NoError(t, i.temporalClient().TerminateWorkflow(t.Context(), accepted.Run.WorkflowID, "", "a test"))
	_, err = i.client.Redeliver(t.Context(), accepted.ID, sub.ID, 1)
	require.NoError(t, err)
	i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)
	require.Len(t, i.requests("/hook", 2), 2)
}

func TestARunThatIsResetKeepsItsClaim(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		i.hooks.Script("/flaky", receiver.Reply{Status: 503}, receiver.Reply{})
		flaky, steady := i.subscribe("/flaky"), i.subscribe("/steady")
		accepted := i.publish(added("1"))
		i.awaitDelivery(accepted.ID, flaky.ID, carillon.Retrying)
		late := i.subscribe("/late") // made after the post

		temporal := i.temporalClient()
		var point int64 // the first workflow task, before anything was recorded
		history := temporal.GetWorkflowHistory(t.Context(), accepted.Run.WorkflowID, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for point == 0 && history.HasNext() {
			event, err := history.Next()
			require.NoError(t, err)
			if event.GetEventType() == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
				point = event.GetEventId()
			}
		}
		_, err := temporal.ResetWorkflowExecution(t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
			Namespace:                 "default",
			WorkflowExecution:         &common.WorkflowExecution{WorkflowId: accepted.Run.WorkflowID, RunId: accepted.Run.RunID},
			WorkflowTaskFinishEventId: point, RequestId: "reset", Reason: "a test",
		})
		require.NoError(t, err)
		_, err = i.client.RetryNow(t.Context(), accepted.ID, flaky.ID)
		for client.CodeOf(err) == carillon.CodeConflict { // until the new run waits
			<-time.After(50 * time.Millisecond)
			_, err = i.client.RetryNow(t.Context(), accepted.ID, flaky.ID)
		}
		require.NoError(t, err)
		i.awaitDelivery(accepted.ID, flaky.ID, carillon.Succeeded)
		i.awaitDelivery(accepted.ID, steady.ID, carillon.Succeeded)
		require.Len(t, i.hooks.Requests("/steady"), 1, "what was delivered is not delivered again")
		_, err = i.client.Delivery(t.Context(), accepted.ID, late.ID)
		require.Equal(t, carillon.CodeNotFound, client.CodeOf(err), "nothing is matched anew")
	})
}

func TestAnEditAppliesFromTheNextAttemptAndADeletionCancels(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/old", receiver.Reply{Status: 503})
	edited, deleted := i.subscribe("/old"), i.subscribe("/old")
	accepted := i.publish(added("1"))
	i.awaitDelivery(accepted.ID, edited.ID, carillon.Retrying)
	i.awaitDelivery(accepted.ID, deleted.ID, carillon.Retrying)
	_, err := i.client.ChangeSubscription(t.Context(), edited.ID, "", map[string]any{"endpoint": map[string]any{"url": i.hook + "/new"}})
	require.NoError(t, err)
	_, err = i.client.RetryNow(t.Context(), accepted.ID, edited.ID)
	require.NoError(t, err)
	i.awaitDelivery(accepted.ID, edited.ID, carillon.Succeeded)
	require.Len(t, i.hooks.Requests("/new"), 1)

	require.NoError(t, i.client.DeleteSubscription(t.Context(), deleted.ID, ""))
	delivery, err := i.client.Delivery(t.Context(), accepted.ID, deleted.ID)
	require.NoError(t, err)
	require.Equal(t, carillon.Canceled, delivery.State)
	require.Len(t, i.hooks.Requests("/old"), 2)
}

func TestANamespaceWithoutSearchAttributesIsEnough(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.namespace("bare", 24*time.Hour, nil)
	i.carillon.stop(t)
	i.env = append(i.env, "TEMPORAL_NAMESPACE=bare")
	i.startCarillon()
	i.hooks.Script("/flaky", receiver.Reply{Status: 503}, receiver.Reply{})
	sub := i.subscribe("/flaky", schedule(time.Second))
	accepted := i.publish(added("1"))
	delivery := i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)
	require.Equal(t, []carillon.Outcome{"retry", "delivered"}, outcomes(delivery))
	require.Contains(t, i.carillon.log.String(), "temporal operator search-attribute create --namespace bare")
}
