package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// sendTimeout is for an attempt, and for reading its events out of histories
// that no worker remembers.
const sendTimeout = attemptTimeout + 20*time.Second

// The statuses by which a receiver says that what is in a request is wrong.
const (
	statusBadRequest    = 400
	statusTooLarge      = 413
	statusUnprocessable = 422
)

// fate is what became of one delivery in a round.
type fate struct {
	row   activities.GatheredRow
	state carillon.DeliveryState // succeeded, failed, or retrying where it was unsuccessful
	// attempt is the one that decided.
	attempt carillon.Attempt
	err     string
}

// reply is what came of one request.
type reply struct {
	activities.SendResult
	// refused says that the receiver takes something in it for wrong.
	refused bool
}

// round sends what waits in one request, or, where the receiver refuses it for
// what is in it, in as many as it takes to find that. It is one attempt of each
// delivery that it was for.
func (g *gathering) round(ctx workflow.Context) error {
	if err := g.look(ctx, true); err != nil {
		return err
	}
	rows := g.now.Rows
	if len(rows) == 0 {
		return nil
	}
	// What was begun is seen through, also when the run is canceled.
	steady, _ := workflow.NewDisconnectedContext(ctx)
	first := g.send(ctx, rows)
	switch first.Attempt.Outcome {
	case carillon.OutcomeThrottled:
		wait := min(time.Duration(first.Attempt.RetryAfter)<<min(g.throttles, 16), maxThrottle)
		g.throttles++
		g.notBefore = workflow.Now(ctx).Add(wait)
		return ctx.Err()
	case carillon.OutcomeHeld:
		return g.settleAll(steady, rows, carillon.Held, first.Attempt.Error)
	case carillon.OutcomeCanceled:
		return g.settleAll(steady, rows, carillon.Canceled, first.Attempt.Error)
	case carillon.OutcomeDelivered, carillon.OutcomeRetry, carillon.OutcomeReject, carillon.OutcomeGone, carillon.OutcomeRefused:
	}
	g.throttles, g.notBefore = 0, time.Time{}
	rows = rows[:min(first.Sent, len(rows))]
	fates := make([]*fate, len(rows))
	for i, row := range rows {
		fates[i] = &fate{row: row}
	}
	g.apply(fates, first)
	if suspects := slices.DeleteFunc(slices.Clone(fates), func(f *fate) bool { return f.state != carillon.Retrying }); first.refused && len(suspects) > 1 {
		g.bisect(ctx, suspects)
	}
	return g.decide(steady, fates)
}

// settleAll gives deliveries that were not sent one state.
func (g *gathering) settleAll(ctx workflow.Context, rows []activities.GatheredRow, state carillon.DeliveryState, reason string) error {
	_, err := g.settle(ctx, activities.SettleInput{Groups: []activities.SettledGroup{{State: state, Error: reason, Rows: rows}}})
	return err
}

// send makes one request. One whose worker was lost may have arrived, and
// counts.
func (g *gathering) send(ctx workflow.Context, rows []activities.GatheredRow) reply {
	in := activities.SendInput{Subscription: g.subscription, Events: make([]activities.SentEvent, len(rows)), Summed: g.now.Summed}
	for i, row := range rows {
		in.Events[i] = activities.SentEvent{Event: row.Event, Number: row.Attempts + 1, Before: row.Before}
	}
	var out activities.SendResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: DeliveriesQueue, StartToCloseTimeout: sendTimeout, RetryPolicy: once,
		WaitForCancellation: true,
		Summary:             g.sendSummary(rows),
		Priority:            temporal.Priority{FairnessKey: g.subscription},
	}), activities.Send, in).Get(ctx, &out)
	switch {
	case temporal.IsCanceledError(err):
		// The deliveries stay as they are: what gathers next goes on with them.
		out = activities.SendResult{Attempt: carillon.Attempt{Outcome: carillon.OutcomeThrottled, Error: "canceled"}}
	case err != nil:
		out = activities.SendResult{
			Sent:    len(rows),
			Attempt: carillon.Attempt{Outcome: carillon.OutcomeRetry, Error: "the attempt broke off: " + brokenReason(err)},
		}
	}
	r := reply{SendResult: out}
	if failed := out.Attempt.Outcome.Failed(); failed && out.Attempt.Response != nil && !g.now.Summed { // a sum has no parts
		switch out.Attempt.Response.Status {
		case statusBadRequest, statusTooLarge, statusUnprocessable:
			r.refused = true
		}
	}
	g.told(ctx, len(rows), out)
	return r
}

// apply takes the reply to a request for what became of its deliveries.
func (g *gathering) apply(fates []*fate, r reply) {
	for _, f := range fates {
		f.attempt, f.err = r.Attempt, r.Attempt.Error
		if reason, ok := r.Rejected[f.row.Event]; ok {
			f.state, f.err = carillon.Failed, reason
			f.attempt.Outcome = carillon.OutcomeReject
			continue
		}
		switch {
		case r.Attempt.Outcome == carillon.OutcomeDelivered && slices.Contains(r.NotTaken, f.row.Event):
			f.state, f.err = carillon.Retrying, carillon.NotTakenReason
			f.attempt.Outcome = carillon.OutcomeRetry
		case r.Attempt.Outcome == carillon.OutcomeDelivered:
			f.state = carillon.Succeeded
		case r.Attempt.Outcome == carillon.OutcomeReject:
			f.state = carillon.Failed
		default:
			f.state = carillon.Retrying
		}
	}
}

// bisect looks for the one delivery that a receiver refuses a request for: it
// takes at most two requests for each halving. Where both halves are refused the
// receiver is in trouble, and any other failure is none of what is in them: then
// it stops, and what is not delivered goes on as after any failure.
func (g *gathering) bisect(ctx workflow.Context, suspects []*fate) {
	for len(suspects) > 1 {
		half := (len(suspects) + 1) / 2
		left, right := suspects[:half], suspects[half:]
		leftRefused, ok := g.part(ctx, left)
		if !ok {
			return
		}
		rightRefused, ok := g.part(ctx, right)
		if !ok || leftRefused == rightRefused {
			return
		}
		suspects = right
		if leftRefused {
			suspects = left
		}
	}
	suspects[0].state = carillon.Failed
	suspects[0].attempt.Outcome = carillon.OutcomeReject
}

// part sends one half. ok is false when it was neither delivered nor refused.
func (g *gathering) part(ctx workflow.Context, half []*fate) (refused, ok bool) {
	rows := make([]activities.GatheredRow, len(half))
	for i, f := range half {
		rows[i] = f.row
	}
	r := g.send(ctx, rows)
	if !r.Attempt.Outcome.Tried() || r.Sent < len(rows) {
		return false, false // held, deleted or throttled by now: the next round finds that out
	}
	g.apply(half, r)
	return r.refused, r.refused || r.Attempt.Outcome == carillon.OutcomeDelivered
}

// decide says what follows, and records it.
func (g *gathering) decide(ctx workflow.Context, fates []*fate) error {
	now := workflow.Now(ctx)
	in := activities.SettleInput{}
	var unsuccessful []*fate
	for _, f := range fates {
		f.row.Attempts++
		if f.state != carillon.Succeeded && f.row.FirstFailedAt.IsZero() {
			f.row.FirstFailedAt = now
		}
		switch f.state {
		case carillon.Succeeded:
			if in.Outcome != carillon.OutcomeDelivered {
				in.Tells, in.Outcome = f.row.Event, carillon.OutcomeDelivered
			}
			in.Groups = grouped(in.Groups, f, carillon.Succeeded, time.Time{})
		case carillon.Failed:
			in.Groups = grouped(in.Groups, f, carillon.Failed, time.Time{})
		default:
			unsuccessful = append(unsuccessful, f)
		}
	}
	if len(unsuccessful) == 0 {
		_, err := g.settle(ctx, in)
		return err
	}
	oldest := unsuccessful[0]
	if in.Outcome == "" {
		in.Tells, in.Outcome = oldest.row.Event, oldest.attempt.Outcome
	}
	if oldest.attempt.Outcome == carillon.OutcomeRetry && oldest.row.Attempts <= len(g.now.Delays) {
		in.Groups = g.later(in.Groups, now, unsuccessful)
		_, err := g.settle(ctx, in)
		return err
	}
	return g.giveUp(ctx, in, unsuccessful)
}

// later makes deliveries wait together, on the schedule of the oldest.
func (g *gathering) later(groups []activities.SettledGroup, now time.Time, unsuccessful []*fate) []activities.SettledGroup {
	oldest := unsuccessful[0]
	next := now.Add(waitAfter(g.now.Delays, oldest.row.Attempts, time.Duration(oldest.attempt.RetryAfter)))
	for _, f := range unsuccessful {
		groups = grouped(groups, f, carillon.Retrying, next)
	}
	return groups
}

// giveUp ends the oldest unsuccessful delivery, which ran out of attempts or
// whose receiver wants no more, and disables the subscription as its policy
// says: then the newer ones are held. Where it stays enabled they go on.
func (g *gathering) giveUp(ctx workflow.Context, in activities.SettleInput, unsuccessful []*fate) error {
	oldest, now := unsuccessful[0], workflow.Now(ctx)
	gone := oldest.attempt.Outcome == carillon.OutcomeGone
	refused := oldest.attempt.Outcome == carillon.OutcomeRefused
	var out activities.DisableResult
	err := insist(ctx, activities.Disable, activities.DisableInput{
		EventID: oldest.row.Event, EventType: oldest.row.Type, SubscriptionID: g.subscription, Generation: g.now.Generation,
		Run: g.run.WorkflowID, Policy: g.now.Disable, FirstFailedAt: oldest.row.FirstFailedAt,
		Gone: gone, Refused: refused, Attempts: oldest.row.Attempts, Status: statusOf(oldest.attempt), Error: oldest.err, At: now,
	}, &out, bookTimeout, carillon.Clip("disable "+g.label(), maxSummary))
	if err != nil {
		return err
	}
	end := carillon.Failed
	if refused || g.now.Holds && !gone {
		end = carillon.Held
	}
	if out.Disabled {
		in.Groups = grouped(in.Groups, oldest, end, time.Time{})
		for _, f := range unsuccessful[1:] {
			in.Groups = grouped(in.Groups, f, carillon.Held, time.Time{})
		}
		_, err := g.settle(ctx, in)
		return err
	}
	var ended, left []*fate
	for _, f := range unsuccessful {
		if gone || f.row.Attempts > len(g.now.Delays) {
			ended = append(ended, f)
			in.Groups = grouped(in.Groups, f, end, time.Time{})
		} else {
			left = append(left, f)
		}
	}
	if len(left) > 0 {
		in.Groups = g.later(in.Groups, now, left)
	}
	settled, err := g.settle(ctx, in)
	if err != nil || !settled.Reopened || len(ended) == 0 {
		return err
	}
	// What was to be held is of a subscription that takes deliveries: its policy
	// keeps it, so it has failed.
	var groups []activities.SettledGroup
	for _, f := range ended {
		groups = grouped(groups, f, carillon.Failed, time.Time{})
	}
	_, err = g.settle(ctx, activities.SettleInput{Groups: groups})
	return err
}

// grouped adds a delivery to the group of those that stand as it does.
func grouped(groups []activities.SettledGroup, f *fate, state carillon.DeliveryState, next time.Time) []activities.SettledGroup {
	group := activities.SettledGroup{
		State: state, Status: statusOf(f.attempt), Error: f.err, DurationMS: f.attempt.DurationMS, NextAt: next,
	}
	i := slices.IndexFunc(groups, func(g activities.SettledGroup) bool {
		return g.State == group.State && g.Status == group.Status && g.Error == group.Error &&
			g.DurationMS == group.DurationMS && g.NextAt.Equal(group.NextAt)
	})
	if i < 0 {
		i = len(groups)
		groups = append(groups, group)
	}
	row := f.row
	row.Type, row.Before = "", "" // known
	groups[i].Rows = append(groups[i].Rows, row)
	return groups
}

func statusOf(a carillon.Attempt) int {
	if a.Response == nil {
		return 0
	}
	return a.Response.Status
}

// settle records what became of deliveries.
func (g *gathering) settle(ctx workflow.Context, in activities.SettleInput) (out activities.SettleResult, err error) {
	in.Subscription, in.Run = g.subscription, g.run
	for _, group := range in.Groups {
		switch group.State {
		case carillon.Succeeded:
			g.progress.Succeeded += len(group.Rows)
		case carillon.Failed:
			g.progress.Failed += len(group.Rows)
		case carillon.Held:
			g.progress.Held += len(group.Rows)
		case carillon.Pending, carillon.Retrying, carillon.Canceled:
		}
	}
	err = must(ctx, activities.Settle, in, in, &out, bookTimeout, "record")
	return out, err
}
