package history

import (
	"context"
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/carillon-dev/carillon"
)

// sendActivity is the registered name of the activity that sends batches.
const sendActivity = "Send"

// maxChain bounds the runs that are read for one delivery of a batch: a run goes
// on in the next when its history is long.
const maxChain = 10

// sendInput and sendResult are what is needed of a recorded request.
type sendInput struct {
	Events []struct {
		ID     string `json:"e"`
		Number int    `json:"n"`
		Before string `json:"b"`
	} `json:"events"`
}

type sendResult struct {
	Attempt  carillon.Attempt  `json:"attempt"`
	Sent     int               `json:"sent"`
	NotTaken []string          `json:"not_taken"`
	Rejected map[string]string `json:"rejected"`
}

// gathered returns the attempts of a delivery that went in batches, out of the
// run that made the last, or the newest where that is not known, and those before
// it.
func (r *Reader) gathered(ctx context.Context, run carillon.Run, eventID, subscription string) ([]carillon.Attempt, error) {
	var all []carillon.Attempt
	for n := 0; n < maxChain && (n == 0 || run.RunID != ""); n++ {
		made, before, err := r.gatheredIn(ctx, run, eventID, subscription)
		if n > 0 && carillon.CodeOf(err) == carillon.CodeExpired {
			break
		}
		if err != nil {
			return nil, err
		}
		all = append(made, all...)
		run.RunID = before
	}
	return all, nil
}

// gatheredIn returns the attempts that one run made, and the run that has those
// before.
func (r *Reader) gatheredIn(ctx context.Context, run carillon.Run, eventID, subscription string) (
	made []carillon.Attempt, before string, err error,
) {
	var held string            // the run before it was held
	numbers := map[int64]int{} // of the event in the requests, by their scheduling
	places := map[int64]int{}
	started := map[int64]*historypb.HistoryEvent{}
	broke := func(id int64, event *historypb.HistoryEvent, failure *failurepb.Failure) {
		if number, ok := numbers[id]; ok {
			at := started[id].GetEventTime().AsTime()
			made = append(made, carillon.Attempt{
				SubscriptionID: subscription, Number: number, Outcome: carillon.OutcomeRetry,
				StartedAt: at, DurationMS: event.GetEventTime().AsTime().Sub(at).Milliseconds(),
				Error: r.broke(failure),
			})
		}
	}
	iter := r.client.GetWorkflowHistory(ctx, run.WorkflowID, run.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iter.HasNext() {
		event, err := iter.Next()
		if err != nil {
			return nil, "", readError(run, err)
		}
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
			before = event.GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
			attrs := event.GetActivityTaskScheduledEventAttributes()
			if attrs.GetActivityType().GetName() != sendActivity {
				continue
			}
			var in sendInput
			if err := r.converter.FromPayloads(attrs.GetInput(), &in); err != nil {
				return nil, "", fmt.Errorf("read request of run %s: %w", run.WorkflowID, err)
			}
			for i, sent := range in.Events {
				if sent.ID != eventID {
					continue
				}
				numbers[event.GetEventId()], places[event.GetEventId()] = sent.Number, i
				if held == "" && sent.Before != run.RunID {
					held = sent.Before
				}
			}
			started[event.GetEventId()] = event
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
			started[event.GetActivityTaskStartedEventAttributes().GetScheduledEventId()] = event
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
			attrs := event.GetActivityTaskCompletedEventAttributes()
			number, ok := numbers[attrs.GetScheduledEventId()]
			if !ok {
				continue
			}
			var out sendResult
			if err := r.converter.FromPayloads(attrs.GetResult(), &out); err != nil {
				return nil, "", fmt.Errorf("read request of run %s: %w", run.WorkflowID, err)
			}
			if places[attrs.GetScheduledEventId()] >= out.Sent {
				continue // left for the next request
			}
			made = append(made, out.of(eventID, subscription, number))
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED:
			attrs := event.GetActivityTaskFailedEventAttributes()
			broke(attrs.GetScheduledEventId(), event, attrs.GetFailure())
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
			attrs := event.GetActivityTaskTimedOutEventAttributes()
			broke(attrs.GetScheduledEventId(), event, attrs.GetFailure())
		}
	}
	switch {
	case held != "":
		before = held
	case len(made) > 0 && made[0].Number == 1: // nothing was before
		before = ""
	}
	return made, before, nil
}

// of is the request as one of its events sees it.
func (out sendResult) of(eventID, subscription string, number int) carillon.Attempt {
	a := out.Attempt
	a.EventID, a.SubscriptionID, a.Number = eventID, subscription, number
	if reason, ok := out.Rejected[eventID]; ok {
		a.Outcome, a.Error, a.Request, a.Response = carillon.OutcomeReject, reason, nil, nil
	} else if slices.Contains(out.NotTaken, eventID) {
		a.Outcome, a.Error = carillon.OutcomeRetry, carillon.NotTakenReason
	}
	return a
}
