package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// SweepType is the registered name of the workflow [Sweep].
const SweepType = "Sweep"

// sweepPasses bounds a run's history; what is left then, after 10,000
// deliveries, is for the next run.
const sweepPasses = 20

// SweepInput starts a Sweep run.
type SweepInput struct {
	// Overdue is how late a delivery must be for its run to be looked up. Any
	// value is safe, 0 too: it only saves questions.
	Overdue carillon.Duration `json:"overdue"`
}

// SweepResult counts the deliveries that a Sweep run closed.
type SweepResult struct {
	Canceled int `json:"canceled"`
	Failed   int `json:"failed"`
	// More says that there were more overdue deliveries than a run looks at.
	More bool `json:"more,omitempty"`
}

// Sweep closes the index rows of deliveries whose run ended without telling.
func Sweep(ctx workflow.Context, in SweepInput) (SweepResult, error) {
	step := activities.SweepInput{Since: workflow.Now(ctx).UTC().Add(-time.Duration(in.Overdue))}
	result := SweepResult{More: true}
	for pass := 1; result.More && pass <= sweepPasses; pass++ {
		var out activities.SweepResult
		err := upkeep(ctx, activities.Sweep, step, &out, fmt.Sprintf("overdue by %s, pass %d", in.Overdue, pass))
		if err != nil {
			return result, err
		}
		result.Canceled += out.Canceled
		result.Failed += out.Failed
		result.More, step.After = out.More, out.Next
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("Of deliveries whose run ended without telling, **%d** were closed as canceled and **%d** as failed.",
			result.Canceled, result.Failed))
	}
	return result, nil
}
