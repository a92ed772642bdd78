package history_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/carillon-dev/carillon"
)

// described answers with a run in a status.
type described struct {
	client.Client
	status enumspb.WorkflowExecutionStatus
	err    error
}

func (d described) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if d.err != nil {
		return nil, d.err
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: d.status},
	}, nil
}

func TestEndSaysHowARunEnded(t *testing.T) {
	t.Parallel()
	ends := map[enumspb.WorkflowExecutionStatus]carillon.RunEnd{
		enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:  carillon.RunCompleted,
		enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:     carillon.RunFailed,
		enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:   carillon.RunCanceled,
		enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED: carillon.RunTerminated,
		enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:  carillon.RunTimedOut,
	}
	for value, name := range enumspb.WorkflowExecutionStatus_name {
		status := enumspb.WorkflowExecutionStatus(value)
		end, err := reader(t, described{status: status}).End(t.Context(), run.WorkflowID)
		require.NoError(t, err)
		require.Equal(t, ends[status], end, "%s: what is no end goes on", name)
	}
	end, err := reader(t, described{err: serviceerror.NewNotFound("no such run")}).End(t.Context(), run.WorkflowID)
	require.NoError(t, err)
	require.Equal(t, carillon.RunGone, end)
}

func TestEndOfARunIsNotKnownWhileTemporalDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{
		serviceerror.NewUnavailable("away"), serviceerror.NewNamespaceNotFound("carillon"),
	} {
		end, err := reader(t, described{err: cause}).End(t.Context(), run.WorkflowID)
		require.Equal(t, carillon.CodeUnavailable, carillon.CodeOf(err))
		require.Equal(t, carillon.RunOpen, end)
	}
}
