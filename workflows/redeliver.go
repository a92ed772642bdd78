package workflows

import (
	"context"
	"errors"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/carillon-dev/carillon"
)

// Redeliver starts the run of a redelivery. However often it is asked for under
// one number, one run starts, and each gets it for an answer.
func (p *Publisher) Redeliver(ctx context.Context, pub *carillon.Publication, r carillon.Redelivery) (carillon.Run, error) {
	id := RedeliveryWorkflowID(r.EventID, r.SubscriptionID, r.Number)
	run, err := p.startOnce(ctx, func(attributes bool) (client.StartWorkflowOptions, string, any) {
		options := startOptions(id, carillon.Clip("again: "+Summary(pub.Event), maxSummary))
		options.TypedSearchAttributes = startAttributes(attributes, pub.Event)
		return options, DispatchType, DispatchInput{Publication: pub, Redelivery: &r, SearchAttributes: attributes}
	})
	if started, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		return carillon.Run{WorkflowID: id, RunID: started.RunId}, nil
	}
	if err != nil {
		return carillon.Run{}, unavailable("Temporal does not answer", err)
	}
	return run, nil
}

// Recover hands a backlog to the run that owns its subscription's, and starts
// that when it does not run.
func (p *Publisher) Recover(ctx context.Context, b carillon.Backlog, rate float64) (carillon.Run, error) {
	attributes := p.attributes.present(ctx, p)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	id := RecoverWorkflowID(b.SubscriptionID)
	handle, err := p.client.SignalWithStartWorkflow(ctx, id, SignalRecover, RecoverRequest{Backlog: b, Rate: rate},
		client.StartWorkflowOptions{
			ID: id, TaskQueue: DispatchQueue,
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			StaticSummary:         "recovery of " + b.SubscriptionID,
		}, RecoverType, RecoverInput{Subscription: b.SubscriptionID, SearchAttributes: attributes})
	if err != nil {
		return carillon.Run{}, unavailable("Temporal does not answer", err)
	}
	return carillon.Run{WorkflowID: handle.GetID(), RunID: handle.GetRunID()}, nil
}

// Recovery returns where a subscription's recovery stands, and whether it is
// under way. Its error is [carillon.CodeNotFound] when there is none that
// Temporal remembers.
func (p *Publisher) Recovery(ctx context.Context, subscription string) (progress RecoverProgress, running bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	id := RecoverWorkflowID(subscription)
	described, err := p.client.DescribeWorkflowExecution(ctx, id, "")
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return progress, false, carillon.Errorf(carillon.CodeNotFound, "nothing was recovered for subscription %s", subscription)
	}
	if err != nil {
		return progress, false, unavailable("Temporal does not answer", err)
	}
	value, err := p.client.QueryWorkflow(ctx, id, "", QueryProgress)
	if err == nil {
		err = value.Get(&progress)
	}
	if err != nil {
		return progress, false, unavailable("the recovery's run does not answer", err)
	}
	return progress, described.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}

// CancelRecovery ends a recovery; what it began ends by itself. Its error is
// [carillon.CodeNotFound] when none is under way.
func (p *Publisher) CancelRecovery(ctx context.Context, subscription string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := p.client.CancelWorkflow(ctx, RecoverWorkflowID(subscription), "")
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return carillon.Errorf(carillon.CodeNotFound, "no recovery of subscription %s is under way", subscription)
	}
	if err != nil {
		return unavailable("Temporal does not answer", err)
	}
	return nil
}
