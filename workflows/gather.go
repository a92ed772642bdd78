package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

const (
	// GatherType is the registered name of the workflow [Gather].
	GatherType = "Gather"
	// SignalGather wakes a Gather run with a [GatherWake].
	SignalGather = "gather"
)

// GatherInput starts a Gather run, or continues one as new.
type GatherInput struct {
	Subscription string         `json:"subscription"`
	Progress     GatherProgress `json:"progress"`
}

// GatherWake says that there is something new. The rows in the database are the
// queue: this only says when to look.
type GatherWake struct {
	// Events is how many deliveries are new.
	Events int `json:"events"`
}

// GatherProgress is where a subscription's batches stand. What is counted is
// counted since the run's chain began.
type GatherProgress struct {
	// Waiting counts the deliveries under way at the last look, and Unsuccessful
	// those of them that a request failed with.
	Waiting      int `json:"waiting"`
	Unsuccessful int `json:"unsuccessful,omitempty"`
	// NextAt is when the next request is due.
	NextAt    time.Time `json:"next_at,omitzero"`
	Requests  int       `json:"requests"`
	Succeeded int       `json:"succeeded"`
	Failed    int       `json:"failed,omitempty"`
	Held      int       `json:"held,omitempty"`
	// Last is what came of the last request, for people.
	Last string `json:"last,omitempty"`
}

// Gather sends the events of one subscription, many in one request. A window
// opens with its first event; what came by its end goes in one request. After
// one that failed, all wait together on the schedule of the oldest of them.
//
// The rows of deliveries are its queue, and its memory: whatever run is next
// goes on with them. It ends when none is left, so that a subscription at rest
// costs nothing.
func Gather(ctx workflow.Context, in GatherInput) (GatherProgress, error) {
	info := workflow.GetInfo(ctx)
	g := &gathering{
		subscription: in.Subscription, progress: in.Progress,
		run:     carillon.Run{WorkflowID: info.WorkflowExecution.ID, RunID: info.WorkflowExecution.RunID},
		signals: workflow.GetSignalChannel(ctx, SignalGather), wake: workflow.NewBufferedChannel(ctx, 1),
	}
	if err := g.handle(ctx); err != nil {
		return g.progress, err
	}
	for {
		g.woken() // the look covers them
		if g.long(ctx) {
			in.Progress = g.progress
			return g.progress, workflow.NewContinueAsNewError(ctx, GatherType, in)
		}
		if err := g.look(ctx, false); err != nil {
			return g.progress, err
		}
		if g.now.Waiting == 0 {
			// One that came during the look is looked after. One that comes later
			// makes the server refuse the end, and this task runs again with it,
			// or starts the next run.
			if g.woken() > 0 {
				continue
			}
			g.show(ctx, "nothing waits")
			return g.progress, nil
		}
		again, err := g.wait(ctx)
		if err != nil {
			return g.progress, err
		}
		if again {
			continue
		}
		if err := g.round(ctx); err != nil {
			return g.progress, err
		}
	}
}

// gathering is the state of a run.
type gathering struct {
	subscription string
	run          carillon.Run
	progress     GatherProgress
	signals      workflow.ReceiveChannel
	wake         workflow.Channel // receives "retry-now"
	waiting      bool
	// now is the last look.
	now activities.GatherResult
	// throttles counts the requests in a row that could not be made, and
	// notBefore is when the next may be.
	throttles int
	notBefore time.Time
	// requests are those of this history, for people.
	requests []requestLine
}

// handle registers what a person can ask of the run.
func (g *gathering) handle(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryProgress, func() (GatherProgress, error) { return g.progress, nil },
		workflow.QueryHandlerOptions{Description: "Where the batches of the subscription stand."})
	if err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, UpdateRetryNow,
		func(workflow.Context, UpdateInput) (GatherProgress, error) {
			g.wake.SendAsync(true)
			return g.progress, nil
		},
		workflow.UpdateHandlerOptions{
			Description: "Sends what waits now, all in one request. Argument: {\"subscription\": \"sub_…\"}.",
			Validator: func(_ workflow.Context, in UpdateInput) error {
				if in.Subscription != g.subscription {
					return fmt.Errorf("this run gathers for subscription %q", g.subscription)
				}
				if !g.waiting {
					return errors.New("a request is being made")
				}
				return nil
			},
		})
}

// woken takes the signals that came, and returns how many events they tell of,
// at least one each.
func (g *gathering) woken() (events int) {
	var wake GatherWake
	for g.signals.ReceiveAsync(&wake) {
		events += max(1, wake.Events)
		wake = GatherWake{}
	}
	return events
}

// long reports whether the history is to end: the next run begins with a look,
// so nothing is to be carried over.
func (g *gathering) long(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetContinueAsNewSuggested()
}

// look reads what waits, with the deliveries of the next request if they are to
// be taken.
func (g *gathering) look(ctx workflow.Context, take bool) error {
	in := activities.GatherInput{Subscription: g.subscription, Take: take}
	var out activities.GatherResult
	if err := must(ctx, activities.Gather, in, in, &out, bookTimeout, "look at what waits"); err != nil {
		return err
	}
	g.now = out
	g.progress.Waiting, g.progress.Unsuccessful = out.Waiting, out.Unsuccessful
	return nil
}

// due is how long to wait for the next request. A window's time is by the clock
// of whoever took its first event.
func (g *gathering) due(ctx workflow.Context) time.Duration {
	now := workflow.Now(ctx)
	switch {
	case g.notBefore.After(now):
		return g.notBefore.Sub(now)
	case g.now.Unsuccessful > 0:
		return max(0, g.now.NextAt.Sub(now))
	case g.now.Waiting >= g.now.Max:
		return 0
	}
	window := time.Duration(g.now.Window)
	return min(window, max(0, g.now.OpenedAt.Add(window).Sub(now)))
}

// wait waits until the next request is due, or somebody wants it now. again says
// that a look is due instead.
func (g *gathering) wait(ctx workflow.Context) (again bool, err error) {
	wait := g.due(ctx)
	if wait == 0 {
		return false, ctx.Err()
	}
	g.progress.NextAt = workflow.Now(ctx).Add(wait)
	g.show(ctx, "")
	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	g.wake.ReceiveAsync(nil) // asked for while the last timer fired: that request was made
	timer := workflow.NewTimerWithOptions(timerCtx, wait, workflow.TimerOptions{Summary: g.waitSummary(wait)})
	g.waiting = true
	defer func() { g.waiting, g.progress.NextAt = false, time.Time{} }()
	over := false
	selector := workflow.NewSelector(ctx).
		AddFuture(timer, func(workflow.Future) { over = true }).
		AddReceive(g.wake, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil); over = true }).
		AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { over = true }).
		AddReceive(g.signals, func(c workflow.ReceiveChannel, _ bool) {
			var wake GatherWake
			c.Receive(ctx, &wake)
			g.progress.Waiting += max(1, wake.Events) + g.woken()
		})
	window := g.now.Unsuccessful == 0 && !g.notBefore.After(workflow.Now(ctx))
	for !over {
		selector.Select(ctx)
		if !over && (window && g.progress.Waiting >= g.now.Max || g.long(ctx)) {
			return true, ctx.Err()
		}
	}
	return false, ctx.Err()
}

// Gather wakes the run that sends a subscription's batches, and starts it when
// it does not run.
func (p *Publisher) Gather(ctx context.Context, subscription, name string, events int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	summary := "batches of " + subscription
	if name != "" {
		summary = "batches of " + name + " · " + subscription
	}
	id := carillon.GatherWorkflowID(subscription)
	_, err := p.client.SignalWithStartWorkflow(ctx, id, SignalGather, GatherWake{Events: events},
		client.StartWorkflowOptions{
			ID: id, TaskQueue: DispatchQueue,
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			StaticSummary:         carillon.Clip(summary, maxSummary),
		}, GatherType, GatherInput{Subscription: subscription})
	if err != nil {
		return unavailable("Temporal does not answer", err)
	}
	return nil
}
