package history

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/carillon-dev/carillon"
)

// End says how the last run of a workflow ended, or that it goes on. Its error
// is [carillon.CodeUnavailable] when Temporal does not answer.
func (r *Reader) End(ctx context.Context, workflowID string) (carillon.RunEnd, error) {
	answer, err := r.client.DescribeWorkflowExecution(ctx, workflowID, "")
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return carillon.RunGone, nil
	}
	if err != nil {
		return carillon.RunOpen, readError(carillon.Run{WorkflowID: workflowID}, err)
	}
	switch answer.GetWorkflowExecutionInfo().GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return carillon.RunCompleted, nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		return carillon.RunFailed, nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return carillon.RunCanceled, nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return carillon.RunTerminated, nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return carillon.RunTimedOut, nil
	default: // it runs, or is paused, or goes on in another run
		return carillon.RunOpen, nil
	}
}
