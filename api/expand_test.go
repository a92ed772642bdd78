package api

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// sentOnce puts an event in the index that was delivered once, and returns its
// subscription, and the path of the delivery.
func sentOnce(t *testing.T, b *bundle) (sub carillon.Subscription, path string) {
	t.Helper()
	withEvent(b)
	made := created(t, b, watchers())
	sub = b.store.subscriptions[made.ID]
	payload, err := b.payloadOf(sub, b.history.publications[eventRun.WorkflowID].Event)
	require.NoError(t, err)
	b.store.deliveries = []carillon.Delivery{{
		EventID: eventID, SubscriptionID: sub.ID, EventType: "package.added", Channel: "webhook", State: carillon.Succeeded,
		Attempts: 1, Status: 204, Run: eventRun, ReceivedAt: now, UpdatedAt: now,
	}}
	b.history.attempts[eventRun.WorkflowID] = []carillon.Attempt{{
		SubscriptionID: sub.ID, Number: 1, StartedAt: now, Outcome: carillon.OutcomeDelivered,
		Request:  &carillon.Request{Method: "POST", Host: "hooks.example.com", PayloadSHA256: digest(payload.Body), PayloadBytes: len(payload.Body)},
		Response: &carillon.Response{Status: 204},
	}}
	return sub, "/v1/events/" + eventID + "/deliveries/" + sub.ID
}

func TestDeliveriesInFull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub, path := sentOnce(t, b)
	list := "/v1/subscriptions/" + sub.ID + "/deliveries"
	get := func(path string) []deliveryDetailView {
		t.Helper()
		return decode[page[deliveryDetailView]](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path})).Items
	}
	require.Nil(t, get(list)[0].Attempts)
	full := get(list + "?expand=attempts")
	require.Len(t, full, 1)
	require.Len(t, full[0].Attempts, 1)
	require.Equal(t, eventID, full[0].Attempts[0].EventID)
	require.Nil(t, full[0].Payload)

	shown := get(list + "?expand=payload")[0].Payload
	require.True(t, shown.Exact)
	require.Equal(t, `{"id":"`+eventID+`","type":"package.added","timestamp":"2026-11-21T19:59:00Z","source":"registry.example.com",`+
		`"actor":"maartenba","scope":{"feed":"internal-utils"},"subject":"pkg:nuget/MyCorp.CoolUtils@3.2.0",`+
		`"data":{"package":"MyCorp.CoolUtils","version":"3.2.0"}}`, shown.Body)
	one := decode[deliveryDetailView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path + "?expand=payload"}))
	require.Equal(t, shown, one.Payload)

	// Another format makes other bytes, and that is said.
	sub.Format = "proget"
	b.store.subscriptions[sub.ID] = sub
	require.False(t, get(list + "?expand=payload")[0].Payload.Exact)

	// The last fifty are there though their histories are gone.
	b.history.publications, b.history.attempts = nil, nil
	b.history.fail = carillon.Errorf(carillon.CodeExpired, "the history of run x is gone")
	gone := get(list + "?expand=attempts,payload")
	require.Nil(t, gone[0].Attempts)
	require.Equal(t, 204, gone[0].Status)
	require.Contains(t, gone[0].Note, "is gone")

	p := b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodGet, path: list + "?expand=all"})
	require.Contains(t, p.Detail, "attempts, payload, or both")
	p = b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodGet, path: list + "?expand=attempts&limit=51"})
	require.Contains(t, p.Detail, "at most 50")
}

func TestAPageInFullGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub, _ := sentOnce(t, b)
	for i := range 59 {
		d := b.store.deliveries[0]
		d.EventID = "evt_" + strconv.Itoa(i)
		b.store.deliveries = append(b.store.deliveries, d)
	}
	p := decode[page[deliveryDetailView]](t, b.ok(t, http.StatusOK, call{
		method: http.MethodGet, path: "/v1/subscriptions/" + sub.ID + "/deliveries?expand=attempts",
	}))
	require.Len(t, p.Items, 50)
	require.NotEmpty(t, p.NextCursor)
	for _, d := range p.Items {
		require.Len(t, d.Attempts, 1)
	}
}

func TestALongPayloadIsCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, path := sentOnce(t, b)
	b.history.publications[eventRun.WorkflowID].Event.Data = []byte(`{"package":"` + strings.Repeat("ä", maxShownPayload) + `"}`)
	one := decode[deliveryDetailView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path + "?expand=payload"}))
	require.True(t, one.Payload.Truncated)
	require.LessOrEqual(t, len(one.Payload.Body), maxShownPayload)
	require.Greater(t, one.Payload.Bytes, maxShownPayload)
	require.False(t, one.Payload.Exact)
}

func TestRedeliverAsItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub, path := sentOnce(t, b)
	again := call{method: http.MethodPost, path: path + "/redeliver", body: `{"render":"as_sent"}`}
	b.ok(t, http.StatusAccepted, again)
	require.Equal(t, b.history.attempts[eventRun.WorkflowID][0].Request.PayloadSHA256, b.publisher.sha256)
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path + "/redeliver", body: `{"render":"anew"}`})
	require.Empty(t, b.publisher.sha256)

	sub.Format = "proget"
	b.store.subscriptions[sub.ID] = sub
	p := b.problem(t, http.StatusConflict, again)
	require.Contains(t, p.Detail, "render it anew")
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path + "/redeliver", body: `{"render":"anew"}`})

	b.history.attempts[eventRun.WorkflowID] = nil
	require.Contains(t, b.problem(t, http.StatusConflict, again).Detail, "nothing was sent yet")
	p = b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: path + "/redeliver", body: `{"render":"new"}`})
	require.Equal(t, "/render", p.Errors[0].Pointer)
}
