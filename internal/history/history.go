// Package history reads what a run's history keeps: the event that started it,
// and every attempt, whether it was a local activity (a marker) or a regular
// one. It is the one place that knows how a history is laid out, and it never
// writes.
package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon"
)

// The names that the SDK gives a local activity's marker and its parts.
// https://pkg.go.dev/go.temporal.io/sdk: they are recorded, so they stay.
const (
	localActivityMarker = "LocalActivity"
	markerData          = "data"
	markerResult        = "result"
)

// attemptActivity is the registered name of the activity that makes attempts.
const attemptActivity = "Attempt"

// cachedEvents bounds the cache of events: at most 256 KiB each, so 32 MiB.
const cachedEvents = 128

// Reader reads histories from a Temporal server.
type Reader struct {
	client    client.Client
	converter converter.DataConverter
	events    *lru.Cache[carillon.Run, *carillon.Publication]
}

// NewReader returns a reader. The data converter must be the client's.
func NewReader(c client.Client, dc converter.DataConverter) (*Reader, error) {
	events, err := lru.New[carillon.Run, *carillon.Publication](cachedEvents)
	if err != nil {
		return nil, fmt.Errorf("make event cache: %w", err)
	}
	return &Reader{client: c, converter: dc, events: events}, nil
}

// Publication returns the event that a run was started with. Its error is
// [carillon.CodeExpired] when the history was removed, and
// [carillon.CodeUnavailable] when Temporal does not answer.
func (r *Reader) Publication(ctx context.Context, run carillon.Run) (*carillon.Publication, error) {
	if pub, ok := r.events.Get(run); ok {
		return pub, nil
	}
	iter := r.client.GetWorkflowHistory(ctx, run.WorkflowID, run.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := iter.Next()
	if err != nil {
		return nil, readError(run, err)
	}
	pub, err := r.publication(ctx, run, first)
	if err != nil {
		return nil, fmt.Errorf("read event of run %s: %w", run.WorkflowID, err)
	}
	r.events.Add(run, pub)
	return pub, nil
}

// publication decodes the input of a run, of which it needs two fields: their
// names and shapes are recorded in histories. A run that tries what was held
// names the event's own run instead.
func (r *Reader) publication(ctx context.Context, run carillon.Run, first *historypb.HistoryEvent) (*carillon.Publication, error) {
	var input struct {
		Publication *carillon.Publication `json:"publication"`
		Redelivery  carillon.Redelivery   `json:"redelivery"`
	}
	attrs := first.GetWorkflowExecutionStartedEventAttributes()
	if err := r.converter.FromPayloads(attrs.GetInput(), &input); err != nil {
		return nil, err
	}
	if input.Publication != nil {
		return input.Publication, nil
	}
	if origin := input.Redelivery.Origin; origin.WorkflowID != "" && origin != run {
		return r.Publication(ctx, origin)
	}
	return nil, carillon.Errorf(carillon.CodeNotFound, "run %s carries no event", run.WorkflowID)
}

// Attempts returns the attempts of one subscription's delivery in the order in
// which they were made. Its errors are those of [Reader.Publication].
func (r *Reader) Attempts(ctx context.Context, run carillon.Run, subscription string) ([]carillon.Attempt, error) {
	// A reset goes on in another run of the same workflow, which keeps the
	// beginning, so the current run is read when it descends from the owner.
	attempts, owner, err := r.attempts(ctx, carillon.Run{WorkflowID: run.WorkflowID}, subscription)
	if err != nil || owner(run.RunID) {
		return attempts, err
	}
	attempts, _, err = r.attempts(ctx, run, subscription)
	return attempts, err
}

func (r *Reader) attempts(ctx context.Context, run carillon.Run, subscription string) (
	attempts []carillon.Attempt, owner func(runID string) bool, err error,
) {
	owner = func(string) bool { return false }
	scheduled := map[int64]attemptInput{}
	started := map[int64]time.Time{}
	iter := r.client.GetWorkflowHistory(ctx, run.WorkflowID, run.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iter.HasNext() {
		event, err := iter.Next()
		if err != nil {
			return nil, owner, readError(run, err)
		}
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
			attrs := event.GetWorkflowExecutionStartedEventAttributes()
			owner = func(runID string) bool {
				return attrs.GetFirstExecutionRunId() == runID || attrs.GetRootWorkflowExecution().GetRunId() == runID
			}
		case enumspb.EVENT_TYPE_MARKER_RECORDED:
			attrs := event.GetMarkerRecordedEventAttributes()
			if a, ok := r.fromMarker(attrs); ok {
				attempts = append(attempts, a)
			}
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
			attrs := event.GetActivityTaskScheduledEventAttributes()
			if attrs.GetActivityType().GetName() != attemptActivity {
				continue
			}
			var in attemptInput
			if err := r.converter.FromPayloads(attrs.GetInput(), &in); err != nil {
				return nil, owner, fmt.Errorf("read attempt of run %s: %w", run.WorkflowID, err)
			}
			scheduled[event.GetEventId()] = in
			started[event.GetEventId()] = event.GetEventTime().AsTime()
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
			id := event.GetActivityTaskStartedEventAttributes().GetScheduledEventId()
			if _, ok := scheduled[id]; ok {
				started[id] = event.GetEventTime().AsTime()
			}
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
			attrs := event.GetActivityTaskCompletedEventAttributes()
			if _, ok := scheduled[attrs.GetScheduledEventId()]; !ok {
				continue
			}
			var a carillon.Attempt
			if err := r.converter.FromPayloads(attrs.GetResult(), &a); err != nil {
				return nil, owner, fmt.Errorf("read attempt of run %s: %w", run.WorkflowID, err)
			}
			attempts = append(attempts, a)
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
			attrs := event.GetActivityTaskFailedEventAttributes()
			attempts = appendBroken(attempts, scheduled, started, attrs.GetScheduledEventId(), event, attrs.GetFailure())
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
			attrs := event.GetActivityTaskTimedOutEventAttributes()
			attempts = appendBroken(attempts, scheduled, started, attrs.GetScheduledEventId(), event, attrs.GetFailure())
		}
	}
	kept := attempts[:0]
	for _, a := range attempts {
		if a.SubscriptionID == subscription {
			kept = append(kept, a)
		}
	}
	return kept, owner, nil
}

// attemptInput is what is needed of the recorded input of an attempt.
type attemptInput struct {
	SubscriptionID string `json:"subscription"`
	Number         int    `json:"number"`
}

// fromMarker decodes an attempt that was a local activity.
func (r *Reader) fromMarker(attrs *historypb.MarkerRecordedEventAttributes) (carillon.Attempt, bool) {
	if attrs.GetMarkerName() != localActivityMarker {
		return carillon.Attempt{}, false
	}
	var data struct{ ActivityType string }
	if err := r.fromDetails(attrs, markerData, &data); err != nil || data.ActivityType != attemptActivity {
		return carillon.Attempt{}, false
	}
	var a carillon.Attempt
	if err := r.fromDetails(attrs, markerResult, &a); err != nil || a.SubscriptionID == "" {
		return carillon.Attempt{}, false // it broke off: the marker holds no result
	}
	return a, true
}

func (r *Reader) fromDetails(attrs *historypb.MarkerRecordedEventAttributes, key string, out any) error {
	payloads, ok := attrs.GetDetails()[key]
	if !ok {
		return errors.New("the marker has no " + key)
	}
	return r.converter.FromPayloads(&commonpb.Payloads{Payloads: payloads.GetPayloads()}, out)
}

// appendBroken adds an attempt whose worker was lost: it may have arrived.
func appendBroken(
	attempts []carillon.Attempt, scheduled map[int64]attemptInput, started map[int64]time.Time, id int64,
	event *historypb.HistoryEvent, failure *failurepb.Failure,
) []carillon.Attempt {
	in, ok := scheduled[id]
	if !ok {
		return attempts
	}
	return append(attempts, carillon.Attempt{
		SubscriptionID: in.SubscriptionID, Number: in.Number, Outcome: carillon.OutcomeRetry,
		StartedAt: started[id], DurationMS: event.GetEventTime().AsTime().Sub(started[id]).Milliseconds(),
		Error: carillon.Clip("the attempt broke off: "+failure.GetMessage(), carillon.MaxErrorBytes),
	})
}

// readError tells a history that is gone from a server that is away.
func readError(run carillon.Run, err error) error {
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return &carillon.Error{
			Code: carillon.CodeExpired,
			Message: "the history of run " + run.WorkflowID + " is gone: the namespace's retention removed it; " +
				"raise the retention of the Temporal namespace to keep histories longer",
			Err: err,
		}
	}
	return &carillon.Error{Code: carillon.CodeUnavailable, Message: "Temporal does not answer", Err: err}
}
