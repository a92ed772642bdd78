package workflows

import (
	"errors"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// BatchType is the registered name of the workflow [Batch].
const BatchType = "Batch"

// Limits of a shared run. Its events are one input, of which Temporal takes
// 2 MiB.
const (
	MaxBatchEvents = 100
	MaxBatchBytes  = 512 << 10
)

// BatchInput starts a Batch run.
type BatchInput struct {
	// Publications are at most [MaxBatchEvents] events.
	Publications []carillon.Publication `json:"publications"`
	// SearchAttributes says that the server has Carillon's search attributes.
	SearchAttributes bool `json:"search_attributes,omitempty"`
}

// BatchResult counts what became of a shared run's deliveries.
type BatchResult struct {
	Events int `json:"events"`
	// Duplicates counts events that another run rang for, and Conflicts those
	// of them that were other events under the same id.
	Duplicates int `json:"duplicates,omitempty"`
	Conflicts  int `json:"conflicts,omitempty"`
	// Paged counts events whose deliveries are in runs of their own.
	Paged     int `json:"paged,omitempty"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Held      int `json:"held"`
	Canceled  int `json:"canceled"`
	// InTrouble counts deliveries that go on in runs of their events' own.
	InTrouble int `json:"in_trouble,omitempty"`
	// Gathered counts deliveries that go with others in one request, which other
	// runs send.
	Gathered int `json:"gathered,omitempty"`
	// ConditionErrors counts conditions that could not be evaluated.
	ConditionErrors int `json:"condition_errors,omitempty"`
}

// Batch takes many events to everybody they concern: one run for all that goes
// well. What does not go well at the first try goes on in a run of its event's
// own, so that trouble is always one run, one timeline.
func Batch(ctx workflow.Context, in BatchInput) (BatchResult, error) {
	info := workflow.GetInfo(ctx)
	b := &batch{
		owner:        carillon.Run{WorkflowID: info.WorkflowExecution.ID, RunID: info.FirstRunID},
		publications: in.Publications, attributes: in.SearchAttributes, trouble: map[int][]*shared{},
	}
	b.result.Events = len(in.Publications)
	// Also a run that is canceled early learns which deliveries to end.
	steady, _ := workflow.NewDisconnectedContext(ctx)
	if err := b.route(steady); err != nil {
		return b.result, err
	}
	if err := wake(steady, b.gathered); err != nil {
		return b.result, err
	}
	if err := b.startPages(steady); err != nil {
		return b.result, err
	}
	for more := true; more; {
		more = b.tryAll(steady, ctx.Err() != nil)
		if err := b.settle(steady, ctx.Err() != nil); err != nil {
			return b.result, err
		}
		if more { // what was answered goes to Temporal before more is
			endTask(ctx) // canceled: the next round ends what is left
		}
	}
	if b.result.Paged > 0 { // as in Dispatch: a page that ends would have the tries made again
		endTask(steady)
	}
	b.show(steady)
	return b.result, ctx.Err()
}

// batch is the state of a shared run.
type batch struct {
	owner        carillon.Run
	publications []carillon.Publication
	attributes   bool

	routed     []activities.Routed
	routedAt   int64     // the config version that the first tries know at least
	deliveries []*shared // ordered by event
	gathered   []activities.Woken
	// trouble are the deliveries that go on in runs of their events' own, by the
	// event, until such a run is started.
	trouble map[int][]*shared
	result  BatchResult
}

// shared is one delivery of a shared run.
type shared struct {
	event int
	plan  activities.Plan
	// attempt is the first try; nil while none was made.
	attempt *carillon.Attempt
	// broken says that the attempt broke off without a result, which says nothing
	// of its endpoint.
	broken  bool
	settled bool // it is recorded
}

// route finds out whom the events concern.
func (b *batch) route(ctx workflow.Context) error {
	var out activities.RouteBatchResult
	local := activities.RouteBatchInput{Run: b.owner, Publications: b.publications}
	regular := activities.RouteBatchInput{Run: b.owner}
	if err := must(ctx, activities.RouteBatch, local, regular, &out,
		routeTimeout*time.Duration(len(b.publications)), batchSummary(b.publications)); err != nil {
		return err
	}
	b.routed, b.routedAt = out.Events, out.ConfigVersion
	for n, event := range b.routed {
		b.result.ConditionErrors += event.ConditionErrors
		switch {
		case event.Conflict:
			b.result.Conflicts++
			workflow.GetLogger(ctx).Warn("another event was taken under the same id at the same time",
				"event", b.publications[n].Event.ID)
			fallthrough
		case event.Duplicate:
			b.result.Duplicates++
		case event.Paged:
			b.result.Paged++
		}
		for _, i := range event.Pending {
			plan := out.Plans[i]
			if b.handOver(plan) {
				continue
			}
			plan.Delays = drawnOut(plan.Delays, event.Jitter)
			b.deliveries = append(b.deliveries, &shared{event: n, plan: plan})
		}
		b.result.Held += len(event.Held)
		for _, plan := range event.ReadBack {
			if b.handOver(plan) {
				continue
			}
			b.deliveries = append(b.deliveries, &shared{event: n, plan: plan})
		}
	}
	return nil
}

// handOver notes a delivery that another run sends with others.
func (b *batch) handOver(plan activities.Plan) bool {
	if !isGathered(plan) {
		return false
	}
	b.result.Gathered++
	i := slices.IndexFunc(b.gathered, func(w activities.Woken) bool { return w.Subscription == plan.Subscription })
	if i < 0 {
		i = len(b.gathered)
		b.gathered = append(b.gathered, activities.Woken{Subscription: plan.Subscription, Name: plan.Name})
	}
	b.gathered[i].Events++
	return true
}

// drawnOut adds to each delay its share of a tenth.
func drawnOut(delays []carillon.Duration, jitter float64) []carillon.Duration {
	drawn := make([]carillon.Duration, len(delays))
	for i, d := range delays {
		drawn[i] = activities.DrawOut(d, jitter)
	}
	return drawn
}

// startPages hands events of a large fan-out to runs of pages.
func (b *batch) startPages(ctx workflow.Context) error {
	var started []workflow.ChildWorkflowFuture
	for n, event := range b.routed {
		if !event.Paged {
			continue
		}
		pub := &b.publications[n]
		named := carillon.EventWorkflowID(pub.Event.ID)
		started = append(started, b.startChild(ctx, activities.PageWorkflowID(named, 1), pub, DispatchInput{
			Page: &PageRef{Owner: b.owner, Number: 1, NamedAfter: named},
		}))
	}
	return awaitStarts(ctx, started)
}

// startChild starts a run that goes on with one of the events. It outlives this
// run.
func (b *batch) startChild(ctx workflow.Context, id string, pub *carillon.Publication, in DispatchInput) workflow.ChildWorkflowFuture {
	in.Publication, in.SearchAttributes = pub, b.attributes
	return workflow.ExecuteChildWorkflow(
		workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
			WorkflowID:            id,
			WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
			ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
			WorkflowTaskTimeout:   taskTimeout,
			StaticSummary:         Summary(pub.Event),
			TypedSearchAttributes: startAttributes(b.attributes, pub.Event),
		}),
		DispatchType, in,
	)
}

// awaitStarts waits until child runs are Temporal's. One that is there already
// was started before this run was reset.
func awaitStarts(ctx workflow.Context, children []workflow.ChildWorkflowFuture) error {
	for _, child := range children {
		err := child.GetChildWorkflowExecution().Get(ctx, nil)
		if _, ok := errors.AsType[*temporal.ChildWorkflowExecutionAlreadyStartedError](err); ok {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// untried reports whether the delivery's first try is to be made here. An
// endpoint that is slow would keep the others waiting.
func (dl *shared) untried() bool {
	return dl.attempt == nil && !dl.settled && !dl.plan.Slow && dl.plan.State == carillon.Pending && dl.plan.Attempts == 0
}

// untried returns the deliveries whose first try is to be made here.
func (b *batch) untried() []*shared {
	var left []*shared
	for _, dl := range b.deliveries {
		if dl.untried() {
			left = append(left, dl)
		}
	}
	return left
}

// tryAll attempts all deliveries in one local activity, as far as its answer
// goes. It reports whether there are more: they are for after the first are
// recorded, and in a workflow task of their own. What was begun counts, also when
// the run is canceled meanwhile.
func (b *batch) tryAll(ctx workflow.Context, canceled bool) (more bool) {
	left := b.untried()
	if len(left) == 0 || canceled {
		return false
	}
	tries := make([]activities.Try, len(left))
	byTry := make(map[tryKey]*shared, len(left))
	for i, dl := range left {
		tries[i] = activities.Try{Event: dl.event, Subscription: dl.plan.Subscription}
		byTry[tryKey{b.publications[dl.event].Event.ID, dl.plan.Subscription}] = dl
	}
	var out activities.AttemptBatchResult
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: 2 * attemptTimeout, ScheduleToCloseTimeout: queueTimeout, RetryPolicy: once,
		Summary: attemptsSummary(len(tries)),
	}), activities.AttemptBatch, activities.AttemptBatchInput{
		Run: b.owner, Publications: b.publications, Tries: tries, ConfigVersion: b.routedAt,
	}).Get(ctx, &out)
	if err != nil || len(out.Attempts) == 0 {
		// The worker was lost, or is hopelessly busy: any of them may have
		// arrived, and they count.
		for _, dl := range left {
			dl.broken = true
			dl.attempt = &carillon.Attempt{
				EventID: b.publications[dl.event].Event.ID, SubscriptionID: dl.plan.Subscription, Number: 1,
				Outcome: carillon.OutcomeRetry, StartedAt: workflow.Now(ctx), Error: "the attempt broke off: " + brokenReason(err),
			}
		}
		return false
	}
	slow := map[string]bool{}
	for i := range out.Attempts {
		attempt := &out.Attempts[i]
		if dl, ok := byTry[tryKey{attempt.EventID, attempt.SubscriptionID}]; ok {
			dl.attempt = attempt
		}
		if attempt.Outcome == carillon.OutcomeThrottled || attempt.DurationMS >= activities.SlowAfter.Milliseconds() {
			slow[attempt.SubscriptionID] = true
		}
	}
	// What an endpoint that is slow has not had yet, it gets in other runs: the
	// others' next round does not wait for it.
	for _, dl := range left {
		dl.plan.Slow = dl.plan.Slow || slow[dl.plan.Subscription]
	}
	return len(b.untried()) > 0
}

type tryKey struct{ event, subscription string }

// settle records what became of the deliveries that were tried, and hands those
// in trouble to runs of their events' own. What was not tried and will not be
// here is handed on, too, or ended when the run is canceled.
func (b *batch) settle(ctx workflow.Context, canceled bool) error {
	var rows []activities.Row
	var held []*shared
	for _, dl := range b.deliveries {
		a := dl.attempt
		if dl.settled || !canceled && dl.untried() {
			continue
		}
		dl.settled = true
		row := b.row(dl)
		switch {
		case a == nil && dl.plan.State.Final():
			b.count(dl.plan.State)
			continue
		case a == nil && dl.plan.State == carillon.Held:
			b.result.Held++
			continue
		case canceled && (a == nil || a.Outcome != carillon.OutcomeDelivered):
			row.State, row.Error = carillon.Canceled, "canceled"
		case a == nil:
			b.troubled(dl)
		case a.Outcome == carillon.OutcomeDelivered:
			row.State = carillon.Succeeded
		case a.Outcome == carillon.OutcomeReject:
			row.State, row.FirstFailedAt = carillon.Failed, workflow.Now(ctx)
		case a.Outcome == carillon.OutcomeCanceled:
			row.State = carillon.Canceled
		case a.Outcome == carillon.OutcomeHeld:
			row.State = carillon.Held
			held = append(held, dl)
		default:
			b.troubled(dl)
			if a.Outcome.Tried() {
				row.State, row.FirstFailedAt = carillon.Retrying, workflow.Now(ctx)
				if len(dl.plan.Delays) > 0 { // until its own run says so
					row.NextAt = row.FirstFailedAt.Add(time.Duration(dl.plan.Delays[0]))
				}
			}
		}
		if row.State == carillon.Pending || row.State == carillon.Retrying {
			row.MovedTo = RetryWorkflowID(row.EventID)
		}
		b.count(row.State)
		rows = append(rows, row)
	}
	reopened, err := b.record(ctx, rows)
	if err != nil {
		return err
	}
	// Held for a subscription that takes deliveries by now.
	rows = nil
	for _, dl := range held {
		if reopened[dl.plan.Subscription] {
			b.result.Held--
			dl.attempt = nil
			b.troubled(dl)
			row := b.row(dl)
			row.MovedTo = RetryWorkflowID(row.EventID)
			rows = append(rows, row)
		}
	}
	if _, err := b.record(ctx, rows); err != nil {
		return err
	}
	return b.startRetries(ctx)
}

// troubled notes a delivery that goes on in a run of its event's own.
func (b *batch) troubled(dl *shared) {
	b.result.InTrouble++
	b.trouble[dl.event] = append(b.trouble[dl.event], dl)
}

// row is where a delivery stands after its first try, but for its state.
func (b *batch) row(dl *shared) activities.Row {
	row := activities.Row{
		EventID: b.publications[dl.event].Event.ID, Subscription: dl.plan.Subscription, State: dl.plan.State,
		Attempts: dl.plan.Attempts, NextAt: dl.plan.NextAt, FirstFailedAt: dl.plan.FirstFailedAt,
	}
	a := dl.attempt
	if a == nil {
		return row
	}
	row.Error = a.Error
	if a.Outcome.Tried() {
		row.Attempts, row.DurationMS = 1, a.DurationMS
		if !dl.broken && !carillon.IsOwn(b.publications[dl.event].Event.Type) {
			row.Outcome = a.Tells()
		}
		if a.Outcome != carillon.OutcomeDelivered {
			row.Progress = a.Progress
		}
	}
	if a.Response != nil {
		row.Status = a.Response.Status
	}
	return row
}

func (b *batch) count(state carillon.DeliveryState) {
	switch state {
	case carillon.Succeeded:
		b.result.Succeeded++
	case carillon.Failed:
		b.result.Failed++
	case carillon.Held:
		b.result.Held++
	case carillon.Canceled:
		b.result.Canceled++
	case carillon.Pending, carillon.Retrying: // those are in trouble
	}
}

func (b *batch) record(ctx workflow.Context, rows []activities.Row) (reopened map[string]bool, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	in := activities.RecordInput{Owner: b.owner.RunID, Rows: rows}
	var out activities.RecordResult
	if err := must(ctx, activities.Record, in, in, &out, bookTimeout, "record"); err != nil {
		return nil, err
	}
	reopened = make(map[string]bool, len(out.Reopened))
	for _, subscription := range out.Reopened {
		reopened[subscription] = true
	}
	return reopened, nil
}

// maxStartBytes bounds what the starts of one workflow task carry: Temporal takes
// 4 MiB at once.
const maxStartBytes = 1 << 20

// startRetries starts the runs of the events in trouble, one an event: each once
// all of the event's first tries are made, as it is told of them at its start.
func (b *batch) startRetries(ctx workflow.Context) error {
	waiting := map[int]bool{}
	for _, dl := range b.untried() {
		waiting[dl.event] = true
	}
	var started []workflow.ChildWorkflowFuture
	bytes := 0
	for n := range b.publications {
		if waiting[n] || len(b.trouble[n]) == 0 {
			continue
		}
		pub := &b.publications[n]
		retry := &Retry{Owner: b.owner}
		bytes += len(pub.Event.Data) + planBytes
		for _, dl := range b.trouble[n] {
			retry.Plans = append(retry.Plans, dl.plan)
			bytes += planBytes
			if dl.attempt != nil {
				retry.Attempts = append(retry.Attempts, *dl.attempt)
				bytes += activities.MaxAttemptBytes
			}
		}
		delete(b.trouble, n)
		started = append(started, b.startChild(ctx, RetryWorkflowID(pub.Event.ID), pub, DispatchInput{Retry: retry}))
		if bytes >= maxStartBytes {
			if err := awaitStarts(ctx, started); err != nil {
				return err
			}
			started, bytes = nil, 0
		}
	}
	return awaitStarts(ctx, started)
}

// planBytes is about how long a plan is as JSON, and an event beside its data.
const planBytes = 1 << 10
