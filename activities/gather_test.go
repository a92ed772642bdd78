package activities_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// gathers makes a subscription one with batches.
func gathers(s *carillon.Subscription) {
	s.Batch = carillon.Batch{Window: carillon.Duration(5 * time.Second), Max: 100}
}

// routed accepts and routes n events, each by a run of its own.
func (b *bundle) routed(t *testing.T, prefix string, n int) []activities.SentEvent {
	t.Helper()
	var sent []activities.SentEvent
	for i, pub := range b.batchOf(t, prefix, n) {
		run := carillon.Run{WorkflowID: carillon.EventWorkflowID(pub.Event.ID), RunID: fmt.Sprintf("run-%s-%d", prefix, i)}
		out, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: &pub})
		require.NoError(t, err)
		require.True(t, out.Plans[0].Gathered)
		b.histories.publications[run] = &pub
		sent = append(sent, activities.SentEvent{Event: pub.Event.ID, Number: 1})
	}
	return sent
}

// arrived returns the ids of the events in a request.
func arrived(t *testing.T, r receiver.Request) (ids []string) {
	t.Helper()
	var events []struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal(r.Body, &events))
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func ids(sent []activities.SentEvent) (ids []string) {
	for _, e := range sent {
		ids = append(ids, e.Event)
	}
	return ids
}

func TestABatchIsOneSignedRequestOfItsEvents(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_1", gathers)
		sent := b.routed(t, "a", 3)
		look, err := b.Gather(t.Context(), activities.GatherInput{Subscription: "sub_1", Take: true})
		require.NoError(t, err)
		require.Equal(t, 3, look.Waiting)
		require.Equal(t, carillon.Duration(5*time.Second), look.Window)
		require.True(t, look.OpenedAt.Equal(now))
		require.Len(t, look.Rows, 3)
		require.Equal(t, "package.added", look.Rows[0].Type)

		in := activities.SendInput{Subscription: "sub_1", Events: sent}
		out, err := b.Send(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, carillon.OutcomeDelivered, out.Attempt.Outcome)
		require.Equal(t, 3, out.Sent)
		requests := b.hooks.Requests("/hook")
		require.Len(t, requests, 1)
		require.Equal(t, ids(sent), arrived(t, requests[0]))
		require.Equal(t, "application/json", requests[0].Header.Get("Content-Type"))
		id := requests[0].Header.Get("webhook-id")
		require.True(t, strings.HasPrefix(id, sent[0].Event+"-"), id)

		_, err = b.Send(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, id, b.hooks.Requests("/hook")[1].Header.Get("webhook-id"), "the same events have the same id")
		_, err = b.Send(t.Context(), activities.SendInput{Subscription: "sub_1", Events: sent[1:2]})
		require.NoError(t, err)
		require.Equal(t, sent[1].Event, b.hooks.Requests("/hook")[2].Header.Get("webhook-id"), "one has its own")
		require.Equal(t, ids(sent[1:2]), arrived(t, b.hooks.Requests("/hook")[2]))

		_, err = b.Settle(t.Context(), activities.SettleInput{
			Subscription: "sub_1", Run: carillon.Run{WorkflowID: carillon.GatherWorkflowID("sub_1"), RunID: "g"},
			Groups: []activities.SettledGroup{{State: carillon.Succeeded, Status: 200, Rows: look.Rows}},
		})
		require.NoError(t, err)
		look, err = b.Gather(t.Context(), activities.GatherInput{Subscription: "sub_1", Take: true})
		require.NoError(t, err)
		require.Zero(t, look.Waiting)
	})
}

// Each half of a batch is asked for as the run that gathers does.
func TestAReceiverRefusesARequestForOnePoisonEvent(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	requests := 0
	var poison string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		var events []carillonEvent
		if err := json.NewDecoder(r.Body).Decode(&events); err != nil || slices.Contains(events, carillonEvent{poison}) {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	}))
	t.Cleanup(server.Close)
	b.hookURL = server.URL
	b.subscribe(t, "sub_1", gathers)
	sent := b.routed(t, "a", 100)
	poison = sent[37].Event
	refused := func(events []activities.SentEvent) bool {
		out, err := b.Send(t.Context(), activities.SendInput{Subscription: "sub_1", Events: events})
		require.NoError(t, err)
		require.Equal(t, len(events), out.Sent)
		// The place of a failed request is free once it is recorded.
		_, err = b.Settle(t.Context(), activities.SettleInput{Subscription: "sub_1", Outcome: out.Attempt.Outcome})
		require.NoError(t, err)
		return out.Attempt.Outcome != carillon.OutcomeDelivered
	}
	require.True(t, refused(sent))
	for len(sent) > 1 {
		half := (len(sent) + 1) / 2
		left, right := refused(sent[:half]), refused(sent[half:])
		require.NotEqual(t, left, right)
		if left {
			sent = sent[:half]
		} else {
			sent = sent[half:]
		}
	}
	require.Equal(t, poison, sent[0].Event)
	require.LessOrEqual(t, requests, 15)
}

type carillonEvent struct {
	ID string `json:"id"`
}

func TestARequestIsSplitAtAMebibyte(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_1", gathers)
	var sent []activities.SentEvent
	for i := range 6 {
		event := added(`{"package":"` + strings.Repeat("x", 240<<10) + `","version":"1"}`)
		event.ID = fmt.Sprintf("evt_%d", i)
		run := carillon.Run{WorkflowID: carillon.EventWorkflowID(event.ID), RunID: event.ID}
		pub := b.accept(t, event)
		_, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: pub})
		require.NoError(t, err)
		b.histories.publications[run] = pub
		sent = append(sent, activities.SentEvent{Event: event.ID, Number: 1})
	}
	out, err := b.Send(t.Context(), activities.SendInput{Subscription: "sub_1", Events: sent})
	require.NoError(t, err)
	require.Equal(t, 4, out.Sent)
	body := b.hooks.Requests("/hook")[0].Body
	require.LessOrEqual(t, len(body), carillon.MaxBatchPayload)
	require.Equal(t, ids(sent[:4]), arrived(t, b.hooks.Requests("/hook")[0]))
}

func TestAnAnswerNamesTheEventsThatFailed(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_1", gathers)
	sent := b.routed(t, "a", 3)
	b.hooks.Script("/hook", receiver.Reply{Body: `{"failed":["` + sent[1].Event + `","evt_unknown"]}`})
	out, err := b.Send(t.Context(), activities.SendInput{Subscription: "sub_1", Events: sent})
	require.NoError(t, err)
	require.Equal(t, ids(sent[1:2]), out.NotTaken)
	require.Equal(t, carillon.OutcomeDelivered, out.Attempt.Outcome)
}

func TestAnEventThatIsGoneIsRejectedAndTheOthersGo(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_1", gathers)
	sent := b.routed(t, "a", 2)
	sent = append([]activities.SentEvent{{Event: "evt_gone", Number: 1}}, sent...)
	out, err := b.Send(t.Context(), activities.SendInput{Subscription: "sub_1", Events: sent})
	require.NoError(t, err)
	require.Contains(t, out.Rejected, "evt_gone")
	require.Equal(t, ids(sent[1:]), arrived(t, b.hooks.Requests("/hook")[0]))

	b.histories.err = &carillon.Error{Code: carillon.CodeUnavailable, Message: "away"}
	out, err = b.Send(t.Context(), activities.SendInput{Subscription: "sub_1", Events: sent[1:]})
	require.NoError(t, err)
	require.Equal(t, carillon.OutcomeThrottled, out.Attempt.Outcome)
}

func TestABacklogIsHandedToTheBatchesAndTheSweepWakesThem(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_1", func(s *carillon.Subscription) { gathers(s); s.State = carillon.Paused })
	pub := b.batchOf(t, "a", 1)[0]
	_, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: &pub})
	require.NoError(t, err)
	sub, err := b.store.Subscription(t.Context(), "sub_1")
	require.NoError(t, err)
	sub.State = carillon.Enabled
	_, err = b.store.UpdateSubscription(t.Context(), sub, 0, "test")
	require.NoError(t, err)
	backlog := carillon.Backlog{SubscriptionID: "sub_1", States: []carillon.DeliveryState{carillon.Held}, Before: now.Add(time.Hour)}
	look, err := b.Backlog(t.Context(), activities.BacklogInput{Backlog: backlog, Limit: 1})
	require.NoError(t, err)
	require.True(t, look.Batched)
	out, err := b.Regather(t.Context(), activities.RegatherInput{Backlog: backlog})
	require.NoError(t, err)
	require.Equal(t, 1, out.Deliveries)
	require.NoError(t, b.Wake(t.Context(), activities.WakeInput{Subscriptions: []activities.Woken{{Subscription: "sub_1", Events: 1}}}))
	require.Equal(t, []string{"sub_1", "sub_1"}, b.published.woken)

	// A run that was ended by hand leaves its rows: they go on in the next.
	a := b.with(t, b.store, func(d *activities.Deps) {
		d.Runs = &runs{ends: map[string]carillon.RunEnd{carillon.GatherWorkflowID("sub_1"): carillon.RunTerminated}}
	})
	swept, err := a.Sweep(t.Context(), activities.SweepInput{Since: now.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, activities.SweepResult{}, swept)
	require.Len(t, b.published.woken, 3)
}
