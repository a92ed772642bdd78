package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestASubscriptionGathersItsEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	seconds := func(n, most int) carillon.Batch {
		return carillon.Batch{Window: carillon.Duration(time.Duration(n) * time.Second), Max: most}
	}
	for _, tc := range []struct {
		name, format, types, rest string
		want                      carillon.Batch
	}{
		{"none unless asked for", "standard", `"*"`, ``, carillon.Batch{}},
		{"a window", "standard", `"*"`, `,"batch":{"window":"5s"}`, seconds(5, 100)},
		{"a window and a number", "cloudevents", `"*"`, `,"batch":{"window":"1h","max":1000}`, seconds(3600, 1000)},
		{"what the profile implies", "codescoring", `"sca.*"`, `,"profile":"codescoring"`, seconds(5, 100)},
		{"what is asked for instead", "codescoring", `"sca.*"`, `,"profile":"codescoring","batch":{"window":"1s","max":1}`, seconds(1, 1)},
		{"where the format cannot, the profile implies none", "myget", `"package.added"`, `,"profile":"codescoring"`, carillon.Batch{}},
	} {
		made := created(t, b, inFormat(tc.format, tc.types, tc.rest))
		require.Equal(t, tc.want, made.Batch, tc.name)
		require.Equal(t, tc.want, b.store.subscriptions[made.ID].Batch, tc.name)
	}
	for _, tc := range []struct{ format, rest, pointer string }{
		{"standard", `,"batch":{"window":"999ms"}`, "/batch/window"},
		{"standard", `,"batch":{"window":"61m"}`, "/batch/window"},
		{"standard", `,"batch":{"window":"soon"}`, "/batch/window"},
		{"standard", `,"batch":{}`, "/batch/window"},
		{"standard", `,"batch":{"window":"5s","max":0}`, "/batch/max"},
		{"standard", `,"batch":{"window":"5s","max":1001}`, "/batch/max"},
		{"standard", `,"batch":{"window":"5s","max":"many"}`, "/batch/max"},
		{"standard", `,"batch":{"window":"5s","most":3}`, "/batch/most"},
		{"standard", `,"batch":5`, "/batch"},
		{"cloudevents", `,"format_options":{"mode":"binary"},"batch":{"window":"5s"}`, "/batch"},
		{"custom", `,"format_options":{"content":"${type}"},"batch":{"window":"5s"}`, "/batch"},
	} {
		p := b.problem(t, http.StatusUnprocessableEntity, call{
			method: http.MethodPost, path: "/v1/subscriptions", body: inFormat(tc.format, `"*"`, tc.rest),
		})
		require.NotEmpty(t, p.Errors, tc.rest)
		require.Equal(t, tc.pointer, p.Errors[0].Pointer, tc.rest)
	}
	// What was answered can be put back, and a null ends it.
	made := created(t, b, inFormat("standard", `"*"`, `,"batch":{"window":"5s"}`))
	patched := decode[savedView](t, b.ok(t, http.StatusOK, call{
		method: http.MethodPatch, path: "/v1/subscriptions/" + made.ID, body: `{"name":"other"}`,
	}))
	require.Equal(t, made.Batch, patched.Batch)
	patched = decode[savedView](t, b.ok(t, http.StatusOK, call{
		method: http.MethodPatch, path: "/v1/subscriptions/" + made.ID, body: `{"batch":null}`,
	}))
	require.True(t, patched.Batch.IsZero())
}

func TestADeliveryIsTakenOutOfItsBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, inFormat("standard", `"*"`, `,"batch":{"window":"5s"}`))
	b.store.deliveries = append(b.store.deliveries, carillon.Delivery{
		EventID: "evt_1", SubscriptionID: made.ID, State: carillon.Pending, ReceivedAt: time.Unix(1, 0), UpdatedAt: time.Unix(1, 0),
		Run: carillon.Run{WorkflowID: carillon.GatherWorkflowID(made.ID), RunID: "claimed"},
	})
	path := "/v1/events/evt_1/deliveries/" + made.ID
	read := decode[deliveryDetailView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path}))
	require.Empty(t, read.Attempts)
	require.Empty(t, read.Note)
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path + "/retry-now"})
	require.Equal(t, [][3]string{{"retry-now", carillon.GatherWorkflowID(made.ID), made.ID}}, b.publisher.asked)
	canceled := decode[deliveryView](t, b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path + "/cancel"}))
	require.Equal(t, carillon.Canceled, canceled.State)
	require.Len(t, b.publisher.asked, 1, "its row is its place in the queue")
}
