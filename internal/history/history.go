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

// The registered names of the activities that make attempts: one, and those of
// a shared run.
const (
	attemptActivity  = "Attempt"
	attemptsActivity = "AttemptBatch"
)

// cachedEvents bounds the cache of events: at most 256 KiB each, so 50 MiB. A
// shared run has up to a hundred of them, in 512 KiB.
const cachedEvents = 200

// place is where an event is: its run, and its id where that has several.
type place struct {
	run     carillon.Run
	eventID string
}

// Reader reads histories from a Temporal server.
type Reader struct {
	client    client.Client
	converter converter.DataConverter
	events    *lru.Cache[place, *carillon.Publication]
}

// NewReader returns a reader. The data converter must be the client's.
func NewReader(c client.Client, dc converter.DataConverter) (*Reader, error) {
	events, err := lru.New[place, *carillon.Publication](cachedEvents)
	if err != nil {
		return nil, fmt.Errorf("make event cache: %w", err)
	}
	return &Reader{client: c, converter: dc, events: events}, nil
}

// Publication returns the event of a run: the one that it was started with, or
// of a shared run the one of the id. Its error is [carillon.CodeExpired] when
// the history was removed, and [carillon.CodeUnavailable] when Temporal does not
// answer.
func (r *Reader) Publication(ctx context.Context, run carillon.Run, eventID string) (*carillon.Publication, error) {
	for _, at := range []place{{run: run}, {run: run, eventID: eventID}} {
		if pub, ok := r.events.Get(at); ok {
			return pub, nil
		}
	}
	input, err := r.input(ctx, run)
	if err != nil {
		return nil, err
	}
	if input.Publication != nil {
		r.events.Add(place{run: run}, input.Publication)
		return input.Publication, nil
	}
	for i := range input.Publications {
		pub := input.Publications[i] // a copy, which keeps none of the others
		r.events.Add(place{run: run, eventID: pub.Event.ID}, &pub)
	}
	for i := range input.Publications {
		if pub := &input.Publications[i]; pub.Event.ID == eventID {
			return pub, nil
		}
	}
	// A run that tries what was held names a run that has the event instead.
	if origin := input.Redelivery.Origin; origin.WorkflowID != "" && origin != run {
		return r.Publication(ctx, origin, input.Redelivery.EventID)
	}
	return nil, carillon.Errorf(carillon.CodeNotFound, "run %s carries no event %s", run.WorkflowID, eventID)
}

// Publications returns the events of a shared run. Its errors are those of
// [Reader.Publication].
func (r *Reader) Publications(ctx context.Context, run carillon.Run) ([]carillon.Publication, error) {
	input, err := r.input(ctx, run)
	return input.Publications, err
}

// runInput is what is needed of the input of a run: the names and shapes of its
// fields are recorded in histories.
type runInput struct {
	Publication  *carillon.Publication  `json:"publication"`
	Publications []carillon.Publication `json:"publications"`
	Redelivery   carillon.Redelivery    `json:"redelivery"`
	Retry        struct {
		Attempts []carillon.Attempt `json:"attempts"`
	} `json:"retry"`
}

func (r *Reader) input(ctx context.Context, run carillon.Run) (input runInput, err error) {
	iter := r.client.GetWorkflowHistory(ctx, run.WorkflowID, run.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := iter.Next()
	if err != nil {
		return input, readError(run, err)
	}
	attrs := first.GetWorkflowExecutionStartedEventAttributes()
	if err := r.converter.FromPayloads(attrs.GetInput(), &input); err != nil {
		// Another process may have the key that it is sealed with.
		return input, &carillon.Error{
			Code: carillon.CodeUnavailable, Message: "the run " + run.WorkflowID + " cannot be read: it may be sealed with a key that is not here", Err: err,
		}
	}
	return input, nil
}

// Attempts returns the attempts of one delivery that a run keeps, in the order
// in which they were made. Its errors are those of [Reader.Publication].
func (r *Reader) Attempts(ctx context.Context, run carillon.Run, eventID, subscription string) ([]carillon.Attempt, error) {
	if carillon.IsGather(run.WorkflowID) {
		return r.gathered(ctx, run, eventID, subscription)
	}
	// A reset goes on in another run of the same workflow, which keeps the
	// beginning, so the current run is read when it descends from the owner.
	attempts, owner, err := r.attempts(ctx, carillon.Run{WorkflowID: run.WorkflowID}, eventID, subscription)
	if err != nil || owner(run.RunID) {
		return attempts, err
	}
	attempts, _, err = r.attempts(ctx, run, eventID, subscription)
	return attempts, err
}

func (r *Reader) attempts(ctx context.Context, run carillon.Run, eventID, subscription string) (
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
			// What was tried before the run that goes on with it.
			var input runInput
			if err := r.converter.FromPayloads(attrs.GetInput(), &input); err != nil {
				return nil, owner, fmt.Errorf("read input of run %s: %w", run.WorkflowID, err)
			}
			attempts = input.Retry.Attempts
		case enumspb.EVENT_TYPE_MARKER_RECORDED:
			attempts = append(attempts, r.fromMarker(event.GetMarkerRecordedEventAttributes())...)
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
			attempts = r.appendBroken(attempts, scheduled, started, attrs.GetScheduledEventId(), event, attrs.GetFailure())
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
			attrs := event.GetActivityTaskTimedOutEventAttributes()
			attempts = r.appendBroken(attempts, scheduled, started, attrs.GetScheduledEventId(), event, attrs.GetFailure())
		}
	}
	kept := attempts[:0]
	for _, a := range attempts {
		// An attempt that broke off, of a run with one event, does not name it.
		if a.SubscriptionID == subscription && (a.EventID == eventID || a.EventID == "") {
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

// fromMarker decodes the attempts of a local activity; none of one that broke
// off, whose marker holds no result.
func (r *Reader) fromMarker(attrs *historypb.MarkerRecordedEventAttributes) []carillon.Attempt {
	if attrs.GetMarkerName() != localActivityMarker {
		return nil
	}
	var data struct{ ActivityType string }
	if err := r.fromDetails(attrs, markerData, &data); err != nil {
		return nil
	}
	switch data.ActivityType {
	case attemptActivity:
		var a carillon.Attempt
		if err := r.fromDetails(attrs, markerResult, &a); err == nil && a.SubscriptionID != "" {
			return []carillon.Attempt{a}
		}
	case attemptsActivity:
		var made struct {
			Attempts []carillon.Attempt `json:"attempts"`
		}
		if err := r.fromDetails(attrs, markerResult, &made); err == nil {
			return made.Attempts
		}
	}
	return nil
}

func (r *Reader) fromDetails(attrs *historypb.MarkerRecordedEventAttributes, key string, out any) error {
	payloads, ok := attrs.GetDetails()[key]
	if !ok {
		return errors.New("the marker has no " + key)
	}
	return r.converter.FromPayloads(&commonpb.Payloads{Payloads: payloads.GetPayloads()}, out)
}

// appendBroken adds an attempt whose worker was lost: it may have arrived.
func (r *Reader) appendBroken(
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
		Error: r.broke(failure),
	})
}

// broke says why an attempt broke off. A data converter that encodes keeps the
// message apart.
func (r *Reader) broke(failure *failurepb.Failure) string {
	converter.DecodeCommonFailureAttributes(r.converter, failure)
	return carillon.Clip("the attempt broke off: "+failure.GetMessage(), carillon.MaxErrorBytes)
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
