package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// PruneType is the registered name of the workflow [Prune].
const PruneType = "Prune"

const (
	// prunePasses bounds a run's history; what is left then, after ten million
	// rows or 200,000 subscriptions, is for the next run.
	prunePasses = 200
	// upkeepTimeout is for one call: 50,000 rows on a slow disk, or 500
	// questions to a slow server.
	upkeepTimeout = 10 * time.Minute
)

// PruneInput starts a Prune run.
type PruneInput struct {
	// Retention is for how long rows are kept after their event was received.
	Retention carillon.Duration `json:"retention"`
}

// PruneResult counts what a Prune run removed.
type PruneResult struct {
	Deliveries int `json:"deliveries"`
	Events     int `json:"events"`
	// More says that rows were left for the next run.
	More bool `json:"more,omitempty"`
}

// Prune removes rows from the index that are older than the retention.
func Prune(ctx workflow.Context, in PruneInput) (PruneResult, error) {
	before := workflow.Now(ctx).UTC().Add(-time.Duration(in.Retention))
	day := before.Format("2006-01-02 15:04Z")
	step := activities.PruneInput{Before: before}
	result := PruneResult{More: true}
	for pass := 1; result.More && pass <= prunePasses; pass++ {
		var out activities.PruneResult
		err := upkeep(ctx, activities.Prune, step, &out, fmt.Sprintf("received before %s, pass %d", day, pass))
		if err != nil {
			return result, err
		}
		result.Deliveries += out.Deliveries
		result.Events += out.Events
		result.More, step.From = out.More, out.Next
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("Of what was received before %s, **%d deliveries** and **%d events** were removed from the index.",
			day, result.Deliveries, result.Events))
	}
	return result, nil
}

// upkeep runs an activity of housekeeping until it succeeds.
func upkeep(ctx workflow.Context, name string, in, out any, summary string) error {
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: DispatchQueue, StartToCloseTimeout: upkeepTimeout, Summary: summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute,
		},
	}), name, in).Get(ctx, out)
}
