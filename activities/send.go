package activities

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// SendInput asks for one request with many events.
type SendInput struct {
	Subscription string `json:"subscription"`
	// Events are the deliveries, the oldest first.
	Events []SentEvent `json:"events"`
	// Summed is that of [GatherResult].
	Summed bool `json:"summed,omitempty"`
}

// SentEvent is a delivery of a request, and which of its attempts that is.
type SentEvent struct {
	Event  string `json:"e"`
	Number int    `json:"n"`
	// Before is that of [GatheredRow]: who reads the attempts goes on there.
	Before string `json:"b,omitempty"`
}

// SendResult says what came of the request. What it says of all events it says
// once, so that its record stays as small as that of one event's attempt.
type SendResult struct {
	Attempt carillon.Attempt `json:"attempt"`
	// Sent is how many of the events this was for, the first ones: the others are
	// for the next request.
	Sent int `json:"sent"`
	// Rejected are, of these, the events that were left out because they can
	// never be written, and why.
	Rejected map[string]string `json:"rejected,omitempty"`
	// NotTaken are, of a request that was delivered, the events of which the
	// receiver says that they failed.
	NotTaken []string `json:"not_taken,omitempty"`
}

const (
	// eventsAtOnce is how many events are read at once, of histories that this
	// worker does not remember.
	eventsAtOnce = 8
	// eventsRead is how many are read before their size is looked at: what is
	// beyond one request is not read.
	eventsRead = 100
	// maxSummedBytes bounds the events of a sum, which are in memory together.
	maxSummedBytes = 64 << 20
)

// Send makes one request. As with [Activities.Attempt], its result is a result,
// never an error.
func (a *Activities) Send(ctx context.Context, in SendInput) (out SendResult, _ error) {
	defer func() {
		if fault := recover(); fault != nil {
			a.log.ErrorContext(ctx, "a request panicked", "subscription", in.Subscription, "stack", string(debug.Stack()))
			out = SendResult{
				Attempt: carillon.Attempt{Outcome: carillon.OutcomeRetry, StartedAt: a.now(), Error: "internal error"},
				Sent:    len(in.Events),
			}
		}
		out.Attempt.SubscriptionID = in.Subscription
		if len(in.Events) > 0 {
			out.Attempt.EventID, out.Attempt.Number = in.Events[0].Event, in.Events[0].Number
		}
	}()
	out.Sent, out.Rejected = len(in.Events), map[string]string{}
	events, away := a.readEvents(ctx, in, &out)
	if away != nil {
		out.Attempt = *away
		return out, nil
	}
	try := AttemptInput{SubscriptionID: in.Subscription}
	if len(in.Events) > 0 {
		try.Number = in.Events[0].Number
	}
	out.Attempt = a.attemptAt(ctx, try, func(sub *carillon.Subscription, sender channels.Sender) carillon.Attempt {
		fitting, left := a.fit(sub, sender, events, out.Rejected)
		if len(left) > 0 {
			out.Sent = slices.IndexFunc(in.Events, func(e SentEvent) bool { return e.Event == left[0].ID })
		}
		if len(fitting) == 0 {
			return carillon.Attempt{Outcome: carillon.OutcomeReject, StartedAt: a.now(), Error: "no event can be written"}
		}
		attempt := sender.Attempt(ctx, a.message(sub, try, fitting...))
		out.NotTaken = attempt.NotTaken
		if attempt.Partial && attempt.Outcome == carillon.OutcomeRetry && in.Summed {
			attempt.Outcome = carillon.OutcomeReject // those who have the sum must not get it again
		}
		return attempt
	})
	return out, nil
}

// readEvents reads the events of a request, as many as one can carry. Those that
// are gone are rejected. away is set when nothing can be read now.
func (a *Activities) readEvents(ctx context.Context, in SendInput, out *SendResult) (events []carillon.Event, away *carillon.Attempt) {
	ids := make([]string, len(in.Events))
	for i, e := range in.Events {
		ids[i] = e.Event
	}
	most := carillon.MaxBatchPayload
	if in.Summed {
		most = maxSummedBytes
	}
	owners, err := a.store.Owners(ctx, ids)
	if err != nil {
		attempt := a.away("the database is away")
		return nil, &attempt
	}
	for size := 0; len(ids) > 0 && size <= most; {
		n := min(len(ids), eventsRead)
		read := make([]*carillon.Publication, n)
		errs := make([]error, n)
		var group errgroup.Group
		group.SetLimit(eventsAtOnce)
		for i, id := range ids[:n] {
			group.Go(func() error {
				owner, ok := owners[id]
				if !ok {
					errs[i] = errors.New("its row is gone")
					return nil
				}
				read[i], errs[i] = a.publication(ctx, nil, owner.Run, id)
				return nil
			})
		}
		_ = group.Wait() // the errors are the events' own
		for i, id := range ids[:n] {
			switch err := errs[i]; {
			case err == nil:
				events = append(events, read[i].Event)
				size += len(read[i].Event.Data)
			case carillon.CodeOf(err) == carillon.CodeUnavailable, ctx.Err() != nil:
				attempt := a.away("Temporal is away")
				return nil, &attempt
			default:
				out.Rejected[id] = carillon.Clip("the event cannot be read: "+err.Error(), carillon.MaxErrorBytes)
			}
		}
		ids = ids[n:]
	}
	out.Sent -= len(ids)
	return events, nil
}

// fit returns the events that go into one request, the first ones, and those
// that are left for the next. Those that can never be written are rejected.
func (a *Activities) fit(sub *carillon.Subscription, sender channels.Sender, events []carillon.Event, rejected map[string]string) (
	fitting, left []carillon.Event,
) {
	batcher, ok := sender.(channels.Batcher)
	if !ok || a.batch(sub).IsZero() || len(events) == 0 {
		n := min(len(events), 1)
		return events[:n], events[n:]
	}
	n, unwritable := batcher.Fit(a.message(sub, AttemptInput{}, events...))
	for i, event := range events[:n] {
		if reason, ok := unwritable[i]; ok {
			rejected[event.ID] = carillon.Clip(reason, carillon.MaxErrorBytes)
		} else {
			fitting = append(fitting, event)
		}
	}
	return fitting, events[n:]
}

// message is what a sender is given: of a subscription with batches one of all
// events, else of the first.
func (a *Activities) message(sub *carillon.Subscription, in AttemptInput, events ...carillon.Event) channels.Message {
	m := channels.Message{
		Event: events[0], Endpoint: sub.Endpoint, Format: sub.Format, FormatOptions: sub.FormatOptions,
		Profile: sub.Profile, PayloadSHA256: in.PayloadSHA256, Number: in.Number,
		Subscription: sub.ID, Progress: in.Progress, More: sub.Batch.IsZero(),
	}
	if !a.batch(sub).IsZero() {
		m.Batch = events
	}
	return m
}
