package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

const (
	eventID = "evt_01KAM9V4000000000000000001"
	subA    = "sub_01KAM9V400000000000000000A"
	subB    = "sub_01KAM9V400000000000000000B"
)

var eventRun = carillon.Run{WorkflowID: "event/" + eventID, RunID: "0199f0a0-0000-7000-8000-000000000001"}

// withEvent puts an event with two deliveries in the index, and its history
// beside it.
func withEvent(b *bundle) {
	event := carillon.Event{
		ID: eventID, Type: "package.added", Source: "registry.example.com", Actor: "maartenba",
		Scope: map[string]string{"feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0", Time: now.Add(-time.Minute),
	}
	b.store.events[eventID] = carillon.EventRow{
		Event: event, ReceivedAt: now, Run: eventRun,
		ConditionErrors: []carillon.ConditionError{{SubscriptionID: "sub_01KAM9V400000000000000000C", Error: "no such key: score"}},
	}
	event.Data = json.RawMessage(`{"package":"MyCorp.CoolUtils","version":"3.2.0"}`)
	b.history.publications[eventRun.WorkflowID] = &carillon.Publication{Event: event, ReceivedAt: now}
	base := carillon.Delivery{
		EventID: eventID, EventType: "package.added", Channel: "webhook", Host: "hooks.example.com", Run: eventRun,
		ReceivedAt: now, UpdatedAt: now.Add(time.Second),
	}
	succeeded, retrying := base, base
	succeeded.SubscriptionID, succeeded.State, succeeded.Attempts, succeeded.Status = subA, carillon.Succeeded, 1, 204
	succeeded.Duration = 12 * time.Millisecond
	retrying.SubscriptionID, retrying.State, retrying.Attempts, retrying.Status = subB, carillon.Retrying, 1, 503
	retrying.Error, retrying.NextAt, retrying.FirstFailedAt = "the receiver answered 503", now.Add(time.Minute), now
	b.store.deliveries = []carillon.Delivery{succeeded, retrying}
	b.history.attempts[eventRun.WorkflowID] = []carillon.Attempt{{
		SubscriptionID: subB, Number: 1, StartedAt: now, DurationMS: 34, Outcome: carillon.OutcomeRetry,
		Error: "the receiver answered 503", RetryAfter: carillon.Duration(30 * time.Second),
		Request: &carillon.Request{
			Method: "POST", Host: "hooks.example.com", Headers: map[string]string{"webhook-id": eventID},
			PayloadSHA256: strings.Repeat("ab", 32), PayloadBytes: 321,
		},
		Response: &carillon.Response{Status: 503, Headers: map[string]string{"Retry-After": "30"}, Body: "later", Truncated: true},
	}}
}

func TestAnEvent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		path   string
		change func(*bundle)
		golden string
	}{
		{"in the list, without its data", "/v1/events?type=package.added&scope=feed:internal-utils&since=2026-11-21T00:00:00Z", nil, "events"},
		{"with its data and deliveries", "/v1/events/" + eventID, nil, "event"},
		{"after its history was removed", "/v1/events/" + eventID, func(b *bundle) { clear(b.history.publications) }, "event_expired"},
		{"while Temporal is away", "/v1/events/" + eventID, func(b *bundle) {
			b.history.fail = carillon.Errorf(carillon.CodeUnavailable, "Temporal does not answer")
		}, "event_unavailable"},
		{"before a worker took it up", "/v1/events/" + eventID, func(b *bundle) {
			clear(b.store.events)
			b.store.deliveries = nil
		}, "event_unclaimed"},
		{"one of its deliveries, with the attempts", "/v1/events/" + eventID + "/deliveries/" + subB, nil, "delivery"},
		{"a delivery after the history was removed", "/v1/events/" + eventID + "/deliveries/" + subB, func(b *bundle) {
			b.history.fail = carillon.Errorf(carillon.CodeExpired, "the history is gone: raise the namespace's retention")
		}, "delivery_expired"},
		{"a delivery without attempts", "/v1/events/" + eventID + "/deliveries/" + subA, func(b *bundle) {
			clear(b.history.attempts)
		}, "delivery_none"},
		{"its deliveries by state", "/v1/deliveries?state=retrying,failed&event=" + eventID, nil, "deliveries"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			withEvent(b)
			if test.change != nil {
				test.change(b)
			}
			golden(t, test.golden, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: test.path}))
		})
	}
}

func TestAnEventWithManyDeliveriesSaysWhereAllAre(t *testing.T) {
	t.Parallel()
	b := setup(t)
	withEvent(b)
	d := b.store.deliveries[0]
	b.store.deliveries = nil
	for range maxShownDeliveries + 1 {
		d.SubscriptionID = carillon.NewID(carillon.SubscriptionPrefix, now)
		b.store.deliveries = append(b.store.deliveries, d)
	}
	view := decode[eventDetailView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/events/" + eventID}))
	require.Len(t, view.Deliveries, maxShownDeliveries)
	b.ok(t, http.StatusOK, call{method: http.MethodGet, path: view.MoreDeliveries})
}

func TestListsGoOnFromTheirCursor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	withEvent(b)
	for range 4 {
		created(t, b, watchers())
	}
	for i := range 5 {
		id := carillon.NewID(carillon.EventPrefix, now.Add(time.Duration(i)*time.Hour))
		b.store.events[id] = carillon.EventRow{Event: carillon.Event{ID: id, Type: "ping", Time: now}, ReceivedAt: now.Add(time.Duration(i/2) * time.Hour)}
	}
	for _, test := range []struct {
		path string
		want int
	}{{"/v1/events?limit=2", 6}, {"/v1/events?limit=3", 6}, {"/v1/deliveries?limit=1", 2}, {"/v1/subscriptions?limit=3", 4}} {
		seen := map[string]bool{}
		for path := test.path; ; {
			p := decode[page[map[string]any]](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path}))
			require.NotEmpty(t, p.Items)
			for _, item := range p.Items {
				id := fmt.Sprint(item["id"], item["subscription"])
				require.False(t, seen[id], "%s came twice", id)
				seen[id] = true
			}
			if p.NextCursor == "" {
				break
			}
			path = test.path + "&cursor=" + p.NextCursor
		}
		require.Len(t, seen, test.want, test.path)
	}
}

func TestAskingSomethingOfADeliveryUnderWay(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"retry-now", "cancel"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			withEvent(b)
			path := "/v1/events/" + eventID + "/deliveries/"
			view := decode[deliveryView](t, b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path + subB + "/" + action}))
			require.Equal(t, carillon.Retrying, view.State)
			require.Equal(t, [][3]string{{action, eventRun.WorkflowID, subB}}, b.publisher.asked)

			p := b.problem(t, http.StatusConflict, call{method: http.MethodPost, path: path + subA + "/" + action})
			require.Contains(t, p.Detail, "succeeded")
			require.Len(t, b.publisher.asked, 1, "a delivery that has ended is not asked")

			b.publisher.fail = carillon.Errorf(carillon.CodeConflict, "an attempt is being made")
			p = b.problem(t, http.StatusConflict, call{method: http.MethodPost, path: path + subB + "/" + action})
			require.Equal(t, "an attempt is being made", p.Detail)
		})
	}
}

func TestEventTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/event-types"})
	golden(t, "event_types", body)
	golden(t, "event_type", b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/event-types/ping"}))
	list := decode[page[eventTypeView]](t, body)
	require.Len(t, list.Items, len(b.deps.Catalog.Types()))
	for _, item := range list.Items {
		one := decode[eventTypeDetailView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/event-types/" + item.Name}))
		require.Equal(t, item, one.eventTypeView)
		require.NotEmpty(t, one.Schema)
		require.Equal(t, item.Name, one.Example.Type)
	}
	p := b.problem(t, http.StatusNotFound, call{method: http.MethodGet, path: "/v1/event-types/package.aded"})
	require.Contains(t, p.Detail, "package.added")
}
