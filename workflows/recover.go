package workflows

import (
	"errors"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

const (
	// RecoverType is the registered name of the workflow [Recover].
	RecoverType = "Recover"
	// SignalRecover hands a Recover run a [RecoverRequest].
	SignalRecover = "recover"
	// QueryProgress answers a [RecoverProgress].
	QueryProgress = "progress"
)

const (
	// maxWindow bounds the deliveries that a recovery has in flight: it must not
	// knock over a receiver that has just come back.
	maxWindow = 32
	// runsPerHistory bounds the child runs in one history, of about six events
	// each.
	runsPerHistory = 500
)

// RecoverInput starts a Recover run, or continues one as new.
type RecoverInput struct {
	Subscription string `json:"subscription"`
	// Requests are what is left to do of the run before.
	Requests []RecoverRequest `json:"requests,omitempty"`
	Progress RecoverProgress  `json:"progress"`
	// SearchAttributes says that the server has Carillon's search attributes.
	SearchAttributes bool `json:"search_attributes,omitempty"`
}

// RecoverRequest asks to deliver a backlog.
type RecoverRequest struct {
	Backlog carillon.Backlog `json:"backlog"`
	// Rate is how many deliveries a second are begun at most; 0 is no limit.
	Rate float64 `json:"rate,omitempty"`
	// Opened is of a breaker that opened, when nobody asked: it makes nothing due
	// at once.
	Opened bool `json:"opened,omitempty"`
}

// RecoverProgress is where a recovery stands.
type RecoverProgress struct {
	// Left counts the backlog at the last look.
	Left      int `json:"left"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	// HandedOver counts what the subscription's batches deliver.
	HandedOver int `json:"handed_over,omitempty"`
	// Failures counts the probes in a row that failed.
	Failures int `json:"failures,omitempty"`
	// InFlight is how many deliveries are tried at once now.
	InFlight int `json:"in_flight"`
	// NextAt is when the next probe is due; zero when none waits.
	NextAt time.Time `json:"next_at,omitzero"`
	// OpenSince is when the endpoint's breaker opened; zero while it is closed.
	OpenSince time.Time `json:"open_since,omitzero"`
}

// Recover owns the backlog of one subscription. It tries the oldest delivery
// alone; while that works it tries more and more at once, and when it does not
// it waits as the subscription's schedule says, and disables at its end. While
// the endpoint's breaker is open, the oldest delivery is the probe that closes
// it. The run ends when nothing is left and the breaker is closed, or the
// subscription takes no deliveries.
func Recover(ctx workflow.Context, in RecoverInput) (RecoverProgress, error) {
	r := &recovery{in: in, progress: in.Progress, signals: workflow.GetSignalChannel(ctx, SignalRecover)}
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryProgress, func() (RecoverProgress, error) { return r.progress, nil },
		workflow.QueryHandlerOptions{Description: "Where the recovery stands."})
	if err != nil {
		return r.progress, err
	}
	r.receive()
	for len(r.in.Requests) > 0 {
		again, err := r.recover(ctx, r.in.Requests[0])
		if err != nil {
			return r.progress, err
		}
		if !again {
			r.in.Requests = r.in.Requests[1:]
		}
		r.receive() // after that: what is done covers no request that came meanwhile
		if again {  // the history is long
			r.in.Progress = r.progress
			return r.progress, workflow.NewContinueAsNewError(ctx, RecoverType, r.in)
		}
	}
	r.show(ctx, "done")
	return r.progress, nil
}

// recovery is the state of a run.
type recovery struct {
	in       RecoverInput
	progress RecoverProgress
	signals  workflow.ReceiveChannel
	runs     int // child runs started in this history
	name     string
}

// receive takes the requests that came in. What is asked for while the same is
// under way begins anew once it is done, so no wake-up is lost.
func (r *recovery) receive() {
	for {
		var request RecoverRequest
		if !r.signals.ReceiveAsync(&request) {
			return
		}
		r.add(request)
	}
}

// add appends a request. That of a breaker is for all that is held: once is
// enough.
func (r *recovery) add(request RecoverRequest) {
	if request.Opened && slices.ContainsFunc(r.in.Requests, RecoverRequest.allHeld) {
		return
	}
	r.in.Requests = append(r.in.Requests, request)
}

func (q RecoverRequest) allHeld() bool {
	return q.Backlog.Since.IsZero() && q.Backlog.Until.IsZero() && slices.Contains(q.Backlog.States, carillon.Held)
}

// recover carries one request out. again says that it is to go on in a new
// history.
func (r *recovery) recover(ctx workflow.Context, request RecoverRequest) (again bool, err error) {
	window := 1
	for {
		var backlog activities.BacklogResult
		err := insist(ctx, activities.Backlog, activities.BacklogInput{Backlog: request.Backlog, Limit: window},
			&backlog, bookTimeout, "look at the backlog")
		if err != nil {
			return false, err
		}
		r.name, r.progress.Left, r.progress.NextAt = backlog.Name, backlog.Total, time.Time{}
		r.progress.InFlight = len(backlog.Oldest)
		if backlog.State != carillon.Enabled {
			return false, nil
		}
		if ready, err := r.breaker(ctx, &backlog); err != nil || r.runs >= runsPerHistory {
			return true, err
		} else if !ready {
			window = 1
			continue
		}
		if len(backlog.Oldest) == 0 {
			return false, nil
		}
		if backlog.Batched && !r.open() {
			return false, r.handOver(ctx, request.Backlog)
		}
		r.show(ctx, fmt.Sprintf("%d left", backlog.Total))
		begin := workflow.Now(ctx)
		succeeded := r.progress.Succeeded
		putBack, err := r.try(ctx, backlog.Oldest)
		if err != nil {
			return false, err
		}
		took := r.progress.Succeeded > succeeded
		r.runs += len(backlog.Oldest)
		r.progress.InFlight = 0
		if r.open() && putBack == 0 {
			if took {
				err = r.probed(ctx, activities.ProbedInput{Close: true})
				window = 2
			} // else it ended without a word of the endpoint: the next one is the probe
		} else if putBack == 0 {
			r.progress.Failures = 0
			window = min(2*window, maxWindow)
			err = r.pace(ctx, request.Rate, len(backlog.Oldest), begin)
		} else {
			window = 1
			r.progress.Failures++
			if r.progress.Failures > len(backlog.Delays) {
				if disabled, err := r.disable(ctx, backlog); err != nil || disabled {
					return false, err
				}
			}
			delay := probeDelay(backlog.Delays, r.progress.Failures)
			if r.open() {
				err = r.probed(ctx, activities.ProbedInput{NextAt: workflow.Now(ctx).Add(delay)})
				if err != nil {
					return false, err
				}
			}
			err = r.wait(ctx, delay, len(backlog.Delays))
		}
		if err != nil || r.runs >= runsPerHistory {
			return true, err
		}
	}
}

// handOver has the backlog delivered in batches.
func (r *recovery) handOver(ctx workflow.Context, backlog carillon.Backlog) error {
	var out activities.RegatherResult
	in := activities.RegatherInput{Backlog: backlog, Name: r.name}
	if err := insist(ctx, activities.Regather, in, &out, bookTimeout, carillon.Clip("to the batches of "+r.name, maxSummary)); err != nil {
		return err
	}
	r.progress.HandedOver += out.Deliveries
	r.progress.Left, r.progress.InFlight = 0, 0
	return nil
}

// probeDelay returns the wait after a number of failures. A subscription whose
// policy never disables is probed at the last step of its schedule for ever.
func probeDelay(delays []carillon.Duration, failures int) time.Duration {
	if len(delays) == 0 {
		return carillon.SoleDelay
	}
	return time.Duration(delays[min(failures, len(delays))-1])
}

// try gives each delivery one attempt, in a run of its own, and returns how
// many were put back.
func (r *recovery) try(ctx workflow.Context, oldest []carillon.Redelivery) (putBack int, err error) {
	runs := make([]workflow.ChildWorkflowFuture, len(oldest))
	for i := range oldest {
		redelivery := oldest[i]
		if redelivery.Origin.WorkflowID == "" {
			redelivery.Origin = carillon.Run{WorkflowID: carillon.EventWorkflowID(redelivery.EventID)}
		}
		runs[i] = workflow.ExecuteChildWorkflow(
			workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
				WorkflowID:            RedeliveryWorkflowID(redelivery.EventID, redelivery.SubscriptionID, redelivery.Number),
				WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
				// A recovery that is canceled lets what it began end.
				ParentClosePolicy:   enumspb.PARENT_CLOSE_POLICY_ABANDON,
				WaitForCancellation: true,
				WorkflowTaskTimeout: taskTimeout,
				StaticSummary:       "recovery of " + redelivery.EventID,
			}),
			DispatchType, DispatchInput{Redelivery: &redelivery, SearchAttributes: r.in.SearchAttributes},
		)
	}
	for _, run := range runs {
		var out DispatchResult
		err := run.Get(ctx, &out)
		if _, ok := errors.AsType[*temporal.ChildWorkflowExecutionAlreadyStartedError](err); ok {
			// Somebody redelivers it by hand: it is looked at again later.
			putBack++
			continue
		}
		if err != nil && ctx.Err() != nil {
			return putBack, err
		}
		r.progress.Succeeded += out.Succeeded
		r.progress.Failed += out.Failed
		putBack += out.PutBack
	}
	return putBack, nil
}

// pace keeps to the rate of a request.
func (r *recovery) pace(ctx workflow.Context, rate float64, begun int, begin time.Time) error {
	if rate <= 0 {
		return nil
	}
	due := time.Duration(float64(begun) / rate * float64(time.Second))
	if rest := due - workflow.Now(ctx).Sub(begin); rest > 0 {
		return workflow.Sleep(ctx, rest)
	}
	return nil
}

// wait waits for the next probe. A request that comes in meanwhile is looked
// into at once, and one that somebody made, as by enabling the subscription
// again, begins anew.
func (r *recovery) wait(ctx workflow.Context, delay time.Duration, steps int) error {
	r.progress.NextAt = workflow.Now(ctx).Add(delay)
	r.show(ctx, "waiting to probe")
	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	timer := workflow.NewTimerWithOptions(timerCtx, delay, workflow.TimerOptions{
		Summary: carillon.Clip(fmt.Sprintf("probe %d/%d in %s · %s", r.progress.Failures, steps, roughly(delay), r.name), maxSummary),
	})
	workflow.NewSelector(ctx).
		AddFuture(timer, func(workflow.Future) {}).
		AddReceive(r.signals, func(c workflow.ReceiveChannel, _ bool) {
			var request RecoverRequest
			c.Receive(ctx, &request)
			r.add(request)
			if !request.Opened {
				r.progress.Failures = 0
			}
		}).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {}).
		Select(ctx)
	return ctx.Err()
}

// disable ends a recovery whose probes ran out, unless the subscription's policy
// keeps it.
func (r *recovery) disable(ctx workflow.Context, backlog activities.BacklogResult) (disabled bool, err error) {
	probe := backlog.Oldest[0]
	in := activities.DisableInput{
		EventID: probe.EventID, SubscriptionID: r.in.Subscription, Generation: backlog.Generation,
		Run: workflow.GetInfo(ctx).WorkflowExecution.ID, Policy: backlog.Disable, FirstFailedAt: workflow.Now(ctx),
		Attempts: r.progress.Failures, Error: "the backlog could not be delivered", At: workflow.Now(ctx), Recovery: true,
	}
	var out activities.DisableResult
	if err := insist(ctx, activities.Disable, in, &out, bookTimeout, "disable "+r.name); err != nil {
		return false, err
	}
	if out.Disabled {
		r.show(ctx, "disabled: the probes ran out")
	}
	return out.Disabled, nil
}

// show brings the details up to date.
func (r *recovery) show(ctx workflow.Context, what string) {
	if r.open() {
		what += ", the breaker is open since " + r.progress.OpenSince.UTC().Format("2006-01-02 15:04:05Z")
	}
	next, handed := "", ""
	if n := r.progress.HandedOver; n > 0 {
		handed = fmt.Sprintf(", %d handed to `%s`", n, carillon.GatherWorkflowID(r.in.Subscription))
	}
	if !r.progress.NextAt.IsZero() {
		next = ", next probe " + r.progress.NextAt.UTC().Format("2006-01-02 15:04:05Z")
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**recovery of %s** `%s`: %s%s\n\n%d delivered, %d failed, %d left%s\n",
		cell(r.name), r.in.Subscription, what, next, r.progress.Succeeded, r.progress.Failed, r.progress.Left, handed))
}
