package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// open reports whether the endpoint's breaker was open at the last look.
func (r *recovery) open() bool { return !r.progress.OpenSince.IsZero() }

// breaker takes what a look at the backlog says of the endpoint's breaker. ready
// means that deliveries may be tried: all where it is closed, and one, the
// probe, where it is open and a probe is due. Else it waited, or left the next
// delivery to decide, and the backlog is to be looked at again.
//
// A delivery is held while the breaker is open in a transaction that excludes
// its closing, so a look after the closing sees every one.
func (r *recovery) breaker(ctx workflow.Context, backlog *activities.BacklogResult) (ready bool, err error) {
	if !backlog.OpenSince.Equal(r.progress.OpenSince) {
		r.progress.OpenSince = backlog.OpenSince
		if r.open() {
			r.progress.Failures = 1 // what opened it
		}
	}
	if !r.open() {
		return true, nil
	}
	r.runs++ // a look is in the history, too
	if rest := backlog.ProbeAt.Sub(workflow.Now(ctx)); rest > 0 {
		r.progress.InFlight = 0
		return false, r.wait(ctx, rest, len(backlog.Delays))
	}
	if len(backlog.Oldest) == 0 {
		return false, r.probed(ctx, activities.ProbedInput{Half: true})
	}
	backlog.Oldest = backlog.Oldest[:1]
	r.progress.InFlight = 1
	return true, nil
}

// probed tells the subscription's row what came of a probe.
func (r *recovery) probed(ctx workflow.Context, in activities.ProbedInput) error {
	in.SubscriptionID, in.OpenSince = r.in.Subscription, r.progress.OpenSince
	summary := "the next probe is at " + in.NextAt.UTC().Format(time.DateTime)
	switch {
	case in.Close:
		summary = "close the breaker"
	case in.Half:
		summary = "close the breaker until the next failure: nothing is held to probe with"
	}
	if err := insist(ctx, activities.Probed, in, nil, bookTimeout, carillon.Clip(summary, maxSummary)); err != nil {
		return err
	}
	if in.Close {
		r.progress.OpenSince, r.progress.Failures = time.Time{}, 0
	}
	return nil
}
