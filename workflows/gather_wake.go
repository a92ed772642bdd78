package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// isGathered reports whether a delivery that Route wrote is another run's to
// send.
func isGathered(plan activities.Plan) bool {
	return plan.Gathered && (plan.State == carillon.Pending || plan.State == carillon.Retrying)
}

// wake hands deliveries to the runs that gather: their rows are written, so it
// is enough that those look.
func wake(ctx workflow.Context, gathered []activities.Woken) error {
	if len(gathered) == 0 {
		return nil
	}
	in := activities.WakeInput{Subscriptions: gathered}
	return must(ctx, activities.Wake, in, in, nil, bookTimeout, fmt.Sprintf("to the batches of %d subscriptions", len(gathered)))
}
