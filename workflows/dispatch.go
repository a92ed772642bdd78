package workflows

import (
	"cmp"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// DispatchType is the registered name of the workflow [Dispatch].
const DispatchType = "Dispatch"

// DispatchInput starts a Dispatch run.
type DispatchInput struct {
	// Publication is the event. The run of a page carries it, too: it may have
	// to try for longer than the history of the event's own run is kept.
	Publication *carillon.Publication `json:"publication"`
	// Page is set in the run of a page of deliveries that the event's own run
	// routed.
	Page *PageRef `json:"page,omitempty"`
	// Redelivery is set in the run of a redelivery. It may carry no event; then
	// it names a run that does, and EventType and Summary say what people see.
	Redelivery *carillon.Redelivery `json:"redelivery,omitempty"`
	// Retry is set in the run of an event in trouble that shared a run before.
	Retry *Retry `json:"retry,omitempty"`
	// SearchAttributes says that the server has Carillon's search attributes.
	SearchAttributes bool `json:"search_attributes,omitempty"`
}

// PageRef names a page of an event's deliveries.
type PageRef struct {
	// Owner is the event's own run, which owns the claim.
	Owner carillon.Run `json:"owner"`
	// Number counts from 1. The event's own run has the first page; where it
	// has none, so do runs of pages.
	Number int `json:"number"`
	// NamedAfter is what the pages' workflow ids begin with; empty for the
	// owner's.
	NamedAfter string `json:"named_after,omitempty"`
	// After is the last subscription of the page before.
	After string `json:"after"`
}

// Retry is what a shared run hands to the run of an event in trouble.
type Retry struct {
	// Owner is the shared run, which owns the claim.
	Owner carillon.Run `json:"owner"`
	// Plans are the deliveries in trouble, and Attempts what was tried of them.
	Plans    []activities.Plan  `json:"plans"`
	Attempts []carillon.Attempt `json:"attempts,omitempty"`
}

// DispatchResult counts what became of a run's deliveries.
type DispatchResult struct {
	// Duplicate says that another run rang for the event; this one did nothing.
	Duplicate bool `json:"duplicate,omitempty"`
	Succeeded int  `json:"succeeded"`
	Failed    int  `json:"failed"`
	Held      int  `json:"held"`
	// PutBack counts the deliveries that a recovery tried in vain.
	PutBack  int `json:"put_back,omitempty"`
	Canceled int `json:"canceled"`
	// MorePages says that further deliveries went to runs of their own.
	MorePages bool `json:"more_pages,omitempty"`
	// Gathered counts the deliveries that go with others in one request, which
	// other runs send.
	Gathered int `json:"gathered,omitempty"`
	// ConditionErrors counts conditions that could not be evaluated.
	ConditionErrors int `json:"condition_errors,omitempty"`
}

// Dispatch takes one event to everybody it concerns.
func Dispatch(ctx workflow.Context, in DispatchInput) (DispatchResult, error) {
	d := newDispatch(ctx, in)
	if err := d.handle(ctx); err != nil {
		return DispatchResult{}, err
	}
	// Also a run that is canceled early learns which deliveries to end.
	steady, _ := workflow.NewDisconnectedContext(ctx)
	if err := d.route(steady); err != nil {
		return DispatchResult{}, err
	}
	if err := wake(steady, d.gathered); err != nil {
		return DispatchResult{}, err
	}
	if err := d.startNextPage(steady); err != nil {
		return DispatchResult{}, err
	}
	d.firstTries(ctx)
	// A page that ends just now would have the server refuse a task that closes
	// this run, and the first tries would be made again: they are Temporal's first.
	if d.more && workflow.GetVersion(ctx, "first-tries-before-close", workflow.DefaultVersion, 1) == 1 {
		endTask(steady)
	}
	d.seeThrough(ctx)
	// An update that was accepted is answered before the run ends.
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return d.result, err
	}
	d.count()
	return d.result, ctx.Err()
}

// dispatch is the state of a run.
type dispatch struct {
	// self is this run, whose history holds the event.
	self carillon.Run
	// owner is the event's own run; its RunID owns the claim.
	owner carillon.Run
	// publication is nil after the first tries, so that a run that waits for
	// days does not keep the event in memory.
	publication   *carillon.Publication
	page          *PageRef
	redelivery    *carillon.Redelivery
	retry         *Retry
	eventID       string
	eventType     string
	summary       string
	configVersion int64
	// routedAt is the config version that the first tries know at least; 0 when
	// they are to ask.
	routedAt   int64
	attributes bool

	deliveries []*delivery // ordered by subscription
	more       bool        // there are deliveries after these
	last       string      // the last subscription of the page
	gathered   []activities.Woken
	troubled   bool // something was not delivered at the first try
	shown      shown
	result     DispatchResult
}

func newDispatch(ctx workflow.Context, in DispatchInput) *dispatch {
	info := workflow.GetInfo(ctx)
	d := &dispatch{
		self: carillon.Run{WorkflowID: info.WorkflowExecution.ID, RunID: info.WorkflowExecution.RunID},
		// The first run of the chain keeps the claim over a reset.
		owner:       carillon.Run{WorkflowID: info.WorkflowExecution.ID, RunID: info.FirstRunID},
		publication: in.Publication, page: in.Page, redelivery: in.Redelivery, retry: in.Retry,
		attributes: in.SearchAttributes,
	}
	if in.Publication != nil {
		event := in.Publication.Event
		d.eventID, d.eventType, d.summary = event.ID, event.Type, Summary(event)
		d.configVersion = in.Publication.ConfigVersion
	} else {
		d.self, d.eventID, d.summary = in.Redelivery.Origin, in.Redelivery.EventID, "recovery of "+in.Redelivery.EventID
	}
	switch {
	case in.Page != nil:
		d.owner = in.Page.Owner
	case in.Retry != nil:
		d.owner = in.Retry.Owner
	}
	return d
}

// route finds out whom the event concerns.
func (d *dispatch) route(ctx workflow.Context) error {
	var plans []activities.Plan
	switch {
	case d.page != nil:
		var out activities.PageResult
		in := activities.PageInput{
			EventID: d.eventID, Owner: d.owner.RunID, After: d.page.After, ConfigVersion: d.configVersion,
		}
		if err := must(ctx, activities.Page, in, in, &out, bookTimeout, "read deliveries"); err != nil {
			return err
		}
		plans, d.more, d.routedAt = out.Plans, out.More, out.ConfigVersion
	case d.redelivery != nil:
		var out activities.RouteResult
		in := activities.ReclaimInput{Redelivery: *d.redelivery, Run: d.owner}
		if err := must(ctx, activities.Reclaim, in, in, &out, bookTimeout, d.summary); err != nil {
			return err
		}
		plans, d.result.Duplicate = out.Plans, out.Duplicate
	case d.retry != nil:
		plans = d.retry.Plans
	default:
		var out activities.RouteResult
		local := activities.RouteInput{Run: d.owner, Publication: d.publication}
		regular := activities.RouteInput{Run: d.owner}
		if err := must(ctx, activities.Route, local, regular, &out, routeTimeout, d.summary); err != nil {
			return err
		}
		plans, d.more, d.routedAt = out.Plans, out.More, out.ConfigVersion
		d.result.Duplicate = out.Duplicate
		d.result.ConditionErrors = len(out.ConditionErrors)
		d.shown.conditionErrors = out.ConditionErrors
	}
	d.deliveries = make([]*delivery, 0, len(plans))
	for _, plan := range plans {
		d.last = plan.Subscription
		if isGathered(plan) {
			d.result.Gathered++
			d.gathered = append(d.gathered, activities.Woken{Subscription: plan.Subscription, Name: plan.Name, Events: 1})
			continue
		}
		dl := &delivery{
			Plan: plan, state: plan.State, attempts: plan.Attempts, nextAt: plan.NextAt, progress: plan.Progress,
			firstFailedAt: plan.FirstFailedAt, wake: workflow.NewBufferedChannel(ctx, 1),
		}
		if plan.State == carillon.Held {
			d.troubled = true
		}
		// Read back from an interrupted run: what was to come later still is.
		dl.wait = max(0, plan.NextAt.Sub(workflow.Now(ctx)))
		d.deliveries = append(d.deliveries, dl)
	}
	return nil
}

// startNextPage hands the deliveries after this page to a run of their own, so
// that no history grows beyond one page. It outlives this run.
func (d *dispatch) startNextPage(ctx workflow.Context) error {
	if !d.more {
		return nil
	}
	next := PageRef{Owner: d.owner, Number: 2, After: d.last}
	if d.page != nil {
		next.Number, next.NamedAfter = d.page.Number+1, d.page.NamedAfter
	}
	child := workflow.ExecuteChildWorkflow(
		workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID:            activities.PageWorkflowID(cmp.Or(next.NamedAfter, d.owner.WorkflowID), next.Number),
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
			ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
			WorkflowTaskTimeout:   taskTimeout,
			StaticSummary:         d.summary,
			TypedSearchAttributes: startAttributes(d.attributes, d.publication.Event),
		}),
		DispatchType, DispatchInput{Publication: d.publication, Page: &next, SearchAttributes: d.attributes},
	)
	d.result.MorePages = true
	return awaitStarts(ctx, []workflow.ChildWorkflowFuture{child})
}

// firstTries attempts all deliveries at once, as local activities in one
// workflow task: on the way that is healthy, a run costs what an empty run
// costs. A slow endpoint would keep the task open: it gets a regular activity.
func (d *dispatch) firstTries(ctx workflow.Context) {
	if d.retry != nil {
		d.takeOver(ctx)
		return
	}
	tries := make([]workflow.Future, len(d.deliveries))
	for i, dl := range d.deliveries {
		if dl.open() && dl.wait == 0 && !dl.Slow {
			tries[i] = d.tryLocally(ctx, dl)
		}
	}
	var tried []*delivery
	for i, dl := range d.deliveries {
		if tries[i] == nil {
			continue
		}
		var a carillon.Attempt
		err := tries[i].Get(ctx, &a)
		d.settle(ctx, dl, a, err)
		if dl.disable == nil { // else it is recorded once that is carried out
			tried = append(tried, dl)
		}
	}
	d.record(ctx, tried...)
	d.publication = nil
	d.show(ctx)
}

// takeOver goes on with what a shared run tried. What it did not try is tried in
// its turn.
func (d *dispatch) takeOver(ctx workflow.Context) {
	for _, a := range d.retry.Attempts {
		d.settle(ctx, d.find(a.SubscriptionID), a, nil)
	}
	var tried []*delivery
	for _, dl := range d.deliveries {
		if dl.disable == nil {
			tried = append(tried, dl)
		}
	}
	d.record(ctx, tried...)
	d.publication = nil
	d.show(ctx)
}

// seeThrough waits for the deliveries that are in trouble, each on its own.
func (d *dispatch) seeThrough(ctx workflow.Context) {
	wg := workflow.NewWaitGroup(ctx)
	for _, dl := range d.deliveries {
		if !dl.open() && dl.disable == nil {
			continue
		}
		wg.Add(1)
		// Made here and not in the coroutine, so that an update finds it.
		var own workflow.Context
		own, dl.cancel = workflow.WithCancel(ctx)
		workflow.Go(own, func(ctx workflow.Context) {
			defer wg.Done()
			d.deliver(ctx, dl)
		})
	}
	// The coroutines end by themselves when ctx is canceled, after they have
	// recorded that.
	detached, _ := workflow.NewDisconnectedContext(ctx)
	wg.Wait(detached)
}

func (d *dispatch) count() {
	for _, dl := range d.deliveries {
		if dl.putBack {
			d.result.PutBack++
			continue
		}
		switch dl.state {
		case carillon.Succeeded:
			d.result.Succeeded++
		case carillon.Failed:
			d.result.Failed++
		case carillon.Held:
			d.result.Held++
		case carillon.Canceled:
			d.result.Canceled++
		case carillon.Pending, carillon.Retrying: // a run ends with none
		}
	}
}

// Time limits of activities.
const (
	// bookTimeout is for what only talks to the database.
	bookTimeout = 10 * time.Second
	// routeTimeout is for matching ten thousand expensive conditions.
	routeTimeout = 5 * time.Minute
	// queueTimeout is for a first try that waits for its turn in a busy worker,
	// which must not count as one that was made.
	queueTimeout = 10 * time.Minute
	// attemptTimeout is above a sender's own limit (30 s), so that the sender
	// reports its timeout itself.
	attemptTimeout = 40 * time.Second
	// taskTimeout is above attemptTimeout, so that a slow receiver costs no
	// heartbeat of the workflow task.
	taskTimeout = 60 * time.Second
)

// endTask ends the workflow task, so that what was done in it is Temporal's
// before anything follows.
func endTask(ctx workflow.Context) {
	_ = workflow.Sleep(ctx, time.Millisecond) // its only error is that the run is canceled
}

// once is the retry policy of local activities and attempts: who retries, and
// when, is the workflow's to decide.
var once = &temporal.RetryPolicy{MaximumAttempts: 1}

// must runs a step that only needs the database: as a local activity, and when
// that fails as a regular one that is retried until it succeeds. The regular
// input is recorded, so it holds no event. Its only error is cancellation.
func must(
	ctx workflow.Context, name string, local, regular, out any, timeout time.Duration, summary string,
) error {
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: bookTimeout, ScheduleToCloseTimeout: bookTimeout, RetryPolicy: once, Summary: summary,
	}), name, local).Get(ctx, out)
	if err == nil || temporal.IsCanceledError(err) {
		return err
	}
	return insist(ctx, name, regular, out, timeout, summary)
}

// insist runs a regular activity until it succeeds.
func insist(
	ctx workflow.Context, name string, in, out any, timeout time.Duration, summary string,
) error {
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: DispatchQueue, StartToCloseTimeout: timeout, Summary: summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2,
			// A part that was away is used again soon after it is back.
			MaximumInterval: 10 * time.Second,
		},
	}), name, in).Get(ctx, out)
}
