package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// maxThrottle is the longest wait for a part of Carillon that is away.
const maxThrottle = time.Hour

// delivery is one delivery under way in a run.
type delivery struct {
	activities.Plan
	state      carillon.DeliveryState
	attempts   int
	status     int
	err        string
	durationMS int64
	// outcome is that of the attempt to be recorded; empty when none was made.
	outcome carillon.Outcome
	// progress is what the last attempt that was made left for the next.
	progress      json.RawMessage
	nextAt        time.Time
	firstFailedAt time.Time

	// wait is how long to wait before the next attempt.
	wait time.Duration
	// putBack says that a recovery's probe failed.
	putBack bool
	// throttles counts the attempts in a row that could not be made.
	throttles int
	waiting   bool
	wake      workflow.Channel    // receives "retry-now"
	cancel    workflow.CancelFunc // ends the delivery; set once it is in trouble
	// disable is what is left to decide about the subscription.
	disable *activities.DisableInput
	// givenUp says that it is held because it was given up, until somebody
	// enables the subscription.
	givenUp bool
}

// open reports whether the delivery is still under way.
func (dl *delivery) open() bool { return dl.state == carillon.Pending || dl.state == carillon.Retrying }

// tryLocally makes an attempt within the workflow task.
func (d *dispatch) tryLocally(ctx workflow.Context, dl *delivery) workflow.Future {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: attemptTimeout, ScheduleToCloseTimeout: queueTimeout, RetryPolicy: once,
		Summary: dl.attemptSummary(),
	})
	return workflow.ExecuteLocalActivity(ctx, activities.Attempt, activities.AttemptInput{
		Run: d.self, EventID: d.eventID, Publication: d.publication, SubscriptionID: dl.Subscription, Number: dl.attempts + 1,
		ConfigVersion: d.routedAt,
		Probe:         d.probes(),
		PayloadSHA256: d.payload(),
		Progress:      dl.progress,
	})
}

// try makes an attempt as a regular activity. It names the event and does not
// repeat it, so that a history grows by attempts, not by payloads.
func (d *dispatch) try(ctx workflow.Context, dl *delivery) (a carillon.Attempt, err error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: DeliveriesQueue, StartToCloseTimeout: attemptTimeout, RetryPolicy: once,
		// An attempt that was begun ends and counts, also when its delivery is
		// canceled: it may have arrived.
		WaitForCancellation: true,
		Summary:             dl.attemptSummary(),
		Priority:            temporal.Priority{FairnessKey: dl.Subscription},
	})
	err = workflow.ExecuteActivity(ctx, activities.Attempt, activities.AttemptInput{
		Run: d.self, EventID: d.eventID, SubscriptionID: dl.Subscription, Number: dl.attempts + 1,
		Probe:         d.probes(),
		PayloadSHA256: d.payload(),
		Progress:      dl.progress,
	}).Get(ctx, &a)
	return a, err
}

// probes reports whether the run's attempts are a recovery's probes.
func (d *dispatch) probes() bool { return d.redelivery != nil && d.redelivery.Probe }

// payload is the digest of the only payload that this run may send; empty where
// it sends what the event gives now.
func (d *dispatch) payload() string {
	if d.redelivery == nil {
		return ""
	}
	return d.redelivery.PayloadSHA256
}

// deliver sees one delivery in trouble through to its end.
func (d *dispatch) deliver(ctx workflow.Context, dl *delivery) {
	for dl.open() || dl.disable != nil {
		if dl.disable != nil {
			// Before its row is final: a final row that is read back asks for
			// nothing more.
			d.disableSubscription(ctx, dl)
			d.record(ctx, dl)
			d.show(ctx)
			continue
		}
		if canceled := d.pause(ctx, dl); canceled {
			d.settle(ctx, dl, carillon.Attempt{Outcome: carillon.OutcomeCanceled, Error: "canceled"}, nil)
		} else {
			a, err := d.try(ctx, dl)
			d.settle(ctx, dl, a, err)
		}
		if dl.disable == nil {
			d.record(ctx, dl)
			d.show(ctx)
		}
	}
}

// pause waits until the delivery's next attempt is due, or somebody wants it
// now. It reports whether the delivery was canceled instead.
func (d *dispatch) pause(ctx workflow.Context, dl *delivery) (canceled bool) {
	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	dl.wake.ReceiveAsync(nil) // asked for while the last timer fired: that attempt is made
	timer := workflow.NewTimerWithOptions(timerCtx, dl.wait, workflow.TimerOptions{Summary: dl.waitSummary()})
	dl.waiting = true
	defer func() { dl.waiting = false }()
	workflow.NewSelector(ctx).
		AddFuture(timer, func(workflow.Future) {}).
		AddReceive(dl.wake, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {}).
		Select(ctx)
	return ctx.Err() != nil
}

// settle decides what an attempt means for its delivery. err is set when the
// attempt broke off without a result.
func (d *dispatch) settle(ctx workflow.Context, dl *delivery, a carillon.Attempt, err error) {
	switch {
	case temporal.IsCanceledError(err):
		a = carillon.Attempt{Outcome: carillon.OutcomeCanceled, Error: "canceled"}
	case err != nil:
		// The worker was lost: it may have arrived, and it counts.
		a = carillon.Attempt{Outcome: carillon.OutcomeRetry, Error: "the attempt broke off: " + brokenReason(err)}
	}
	now := workflow.Now(ctx)
	dl.nextAt, dl.wait, dl.err, dl.outcome = time.Time{}, 0, a.Error, ""
	switch a.Outcome {
	case carillon.OutcomeHeld:
		dl.state = carillon.Held
	case carillon.OutcomeCanceled:
		dl.state = carillon.Canceled
	case carillon.OutcomeThrottled:
		// Longer each time, so that a part that stays away does not fill the
		// history.
		dl.wait = min(time.Duration(a.RetryAfter)<<min(dl.throttles, 16), maxThrottle)
		dl.nextAt = now.Add(dl.wait)
		dl.throttles++
	default:
		dl.attempts++
		switch {
		case a.Outcome == carillon.OutcomeDelivered:
			dl.progress = nil // a redelivery is for all again
		case a.Progress != nil:
			dl.progress = a.Progress
		}
		if err == nil && !carillon.IsOwn(d.eventType) { // else it says nothing of the endpoint
			dl.outcome = a.Tells()
		}
		dl.durationMS, dl.status = a.DurationMS, 0
		if a.Response != nil {
			dl.status = a.Response.Status
		}
		if a.Outcome != carillon.OutcomeDelivered && dl.firstFailedAt.IsZero() {
			dl.firstFailedAt = now
		}
		d.settleAttempt(ctx, dl, a)
	}
	if a.Outcome != carillon.OutcomeThrottled {
		dl.throttles = 0
	}
	if dl.state != carillon.Succeeded {
		d.troubled = true
	}
	// A canceled run makes no further attempt.
	if ctx.Err() != nil && dl.open() {
		dl.state, dl.nextAt, dl.err = carillon.Canceled, time.Time{}, "canceled"
	}
}

// settleAttempt decides after an attempt that was made.
func (d *dispatch) settleAttempt(ctx workflow.Context, dl *delivery, a carillon.Attempt) {
	refused := a.Outcome == carillon.OutcomeRefused
	switch {
	case a.Outcome == carillon.OutcomeDelivered:
		dl.state = carillon.Succeeded
		return
	case (refused || a.Outcome == carillon.OutcomeRetry) && d.probes():
		// Its recovery decides what follows.
		dl.state, dl.putBack = d.redelivery.From[0], true
		if !refused {
			return
		}
	case a.Outcome == carillon.OutcomeRetry && dl.attempts <= len(dl.Delays):
		d.retryLater(ctx, dl, time.Duration(a.RetryAfter))
		return
	case a.Outcome == carillon.OutcomeReject, a.Outcome == carillon.OutcomeRetry && a.Partial:
		dl.state = carillon.Failed // of the endpoint it says nothing, or that it is well
		return
	case refused, a.Outcome == carillon.OutcomeRetry && dl.Holds:
		dl.state, dl.givenUp = carillon.Held, true
	default: // out of attempts, or gone
		dl.state = carillon.Failed
	}
	dl.disable = &activities.DisableInput{
		EventID: d.eventID, EventType: d.eventType, SubscriptionID: dl.Subscription, Generation: dl.Generation,
		Run: d.self.WorkflowID, Policy: dl.Disable, FirstFailedAt: dl.firstFailedAt,
		Gone: a.Outcome == carillon.OutcomeGone, Refused: refused, Attempts: dl.attempts, Status: dl.status, Error: dl.err,
		At: workflow.Now(ctx),
	}
}

// retryLater makes the next attempt due.
func (d *dispatch) retryLater(ctx workflow.Context, dl *delivery, asked time.Duration) {
	dl.state = carillon.Retrying
	dl.wait = dl.delay(asked)
	dl.nextAt = workflow.Now(ctx).Add(dl.wait)
}

// reopen goes on with a delivery that was to be held, and whose subscription
// takes deliveries. One that was given up, under a policy that does not disable
// or by a run that others overtook, keeps to its schedule, and fails at its end.
func (d *dispatch) reopen(ctx workflow.Context, dl *delivery) {
	switch {
	case !dl.givenUp:
		dl.state, dl.err, dl.wait = carillon.Pending, "", 0
		return
	case dl.attempts <= len(dl.Delays):
		d.retryLater(ctx, dl, 0)
	default:
		dl.state = carillon.Failed
	}
	dl.givenUp = false
	d.record(ctx, dl)
}

// delay returns the wait before the next attempt. What the receiver asked for
// makes it longer, never shorter, and at most as long as the step after it.
func (dl *delivery) delay(asked time.Duration) time.Duration {
	return waitAfter(dl.Delays, dl.attempts, asked)
}

// waitAfter is the wait after so many attempts; see [delivery.delay].
func waitAfter(delays []carillon.Duration, attempts int, asked time.Duration) time.Duration {
	step := attempts - 1
	delay := time.Duration(delays[step])
	limit := delay
	if step+1 < len(delays) {
		limit = time.Duration(delays[step+1])
	}
	return max(delay, min(asked, limit))
}

// disableSubscription carries out what a delivery that failed for good means
// for its subscription.
func (d *dispatch) disableSubscription(ctx workflow.Context, dl *delivery) {
	// What was decided is carried out, also when the run is canceled by now.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var out activities.DisableResult
	if err := insist(ctx, activities.Disable, dl.disable, &out, bookTimeout, "disable "+dl.label()); err != nil {
		workflow.GetLogger(ctx).Error("disable broke off", "subscription", dl.Subscription, "error", err)
	}
	dl.disable = nil
}

// record writes where deliveries stand into the index.
func (d *dispatch) record(ctx workflow.Context, deliveries ...*delivery) {
	if len(deliveries) == 0 {
		return
	}
	in := activities.RecordInput{EventID: d.eventID, Owner: d.owner.RunID, Rows: make([]activities.Row, len(deliveries))}
	for i, dl := range deliveries {
		in.Rows[i] = activities.Row{
			Subscription: dl.Subscription, State: dl.state, Attempts: dl.attempts, Status: dl.status, Error: dl.err,
			DurationMS: dl.durationMS, NextAt: dl.nextAt, FirstFailedAt: dl.firstFailedAt, PutBack: dl.putBack,
			Outcome: dl.outcome, Progress: dl.progress,
		}
	}
	// Also a canceled run tells the index.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var out activities.RecordResult
	if err := must(ctx, activities.Record, in, in, &out, bookTimeout, "record"); err != nil {
		workflow.GetLogger(ctx).Error("record broke off", "error", err)
	}
	for _, subscription := range out.Reopened {
		d.reopen(ctx, d.find(subscription))
	}
}

// brokenReason says why an activity ended without a result.
func brokenReason(err error) string {
	if timeout, ok := errors.AsType[*temporal.TimeoutError](err); ok {
		return fmt.Sprintf("no answer from its worker (%s)", timeout.TimeoutType())
	}
	return "its worker failed"
}
