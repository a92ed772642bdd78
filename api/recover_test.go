package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

const bareWatcher = `{"name":"watcher","event_types":["package.*"],"channel":"webhook",
	"endpoint":{"url":"https://hooks.example.com/x"}}`

func TestASubscriptionIsPausedAndEnabledAndWhatItHeldIsAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := decode[subscriptionView](t, b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/subscriptions", body: bareWatcher}))
	do := func(action string) carillon.SubscriptionState {
		return decode[subscriptionView](t, b.ok(t, http.StatusOK, call{
			method: http.MethodPost, path: "/v1/subscriptions/" + created.ID + "/" + action,
		})).State
	}
	require.Equal(t, carillon.Paused, do("pause"))
	require.Equal(t, carillon.Disabled, do("disable"))
	require.Equal(t, carillon.Enabled, do("enable"))
	require.Empty(t, b.publisher.asked, "nothing was held")
	require.Equal(t, "subscription.enabled", b.publisher.published[0].Type)
	require.NoError(t, b.deps.Catalog.CheckData(b.publisher.published[0]))

	b.store.deliveries = append(b.store.deliveries, carillon.Delivery{
		EventID: "evt_1", SubscriptionID: created.ID, State: carillon.Held,
	})
	require.Equal(t, carillon.Enabled, do("enable"))
	require.Equal(t, [][3]string{{"recover", created.ID, "[held] 0"}}, b.publisher.asked)
	b.problem(t, http.StatusNotFound, call{method: http.MethodPost, path: "/v1/subscriptions/sub_x/enable"})
	b.problem(t, http.StatusPreconditionFailed, call{
		method: http.MethodPost, path: "/v1/subscriptions/" + created.ID + "/pause", header: map[string]string{"If-Match": `"1"`},
	})
}

func TestRecoverIsCountedAskedForShownAndCanceled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := decode[subscriptionView](t, b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/subscriptions", body: bareWatcher}))
	for _, state := range []carillon.DeliveryState{carillon.Held, carillon.Failed, carillon.Failed} {
		b.store.deliveries = append(b.store.deliveries, carillon.Delivery{SubscriptionID: created.ID, State: state})
	}
	path := "/v1/subscriptions/" + created.ID + "/recover"
	dry := decode[recoverView](t, b.ok(t, http.StatusOK, call{method: http.MethodPost, path: path, body: `{"states":["failed"],"dry_run":true}`}))
	require.Equal(t, recoverView{Matched: 2, DryRun: true}, dry)
	require.Empty(t, b.publisher.asked)
	asked := decode[recoverView](t, b.ok(t, http.StatusAccepted, call{
		method: http.MethodPost, path: path, body: `{"states":["held","failed"],"rate":2.5,"since":"2026-11-01T00:00:00Z"}`,
	}))
	require.Equal(t, 3, asked.Matched)
	require.Equal(t, "recover/"+created.ID, asked.Run.WorkflowID)
	require.Equal(t, [][3]string{{"recover", created.ID, "[held failed] 2.5"}}, b.publisher.asked)
	shown := decode[progressView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path}))
	require.Equal(t, 3, shown.Left)
	require.True(t, shown.Running)
	b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: path})

	for body, pointer := range map[string]string{
		`{"states":["pending"]}`: "/states", `{"rate":-1}`: "/rate", `{"rate":"fast"}`: "/rate",
		`{"dry_run":1}`: "/dry_run", `{"since":"yesterday"}`: "/since", `{"what":1}`: "/what",
	} {
		p := b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: path, body: body})
		require.Equal(t, pointer, p.Errors[0].Pointer, body)
	}
	b.ok(t, http.StatusOK, call{method: http.MethodPost, path: "/v1/subscriptions/" + created.ID + "/pause"})
	p := b.problem(t, http.StatusConflict, call{method: http.MethodPost, path: path, body: `{}`})
	require.Contains(t, p.Detail, "enable it first")
}

func TestRedeliver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := decode[subscriptionView](t, b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/subscriptions", body: bareWatcher}))
	run := carillon.Run{WorkflowID: "event/evt_1", RunID: "run"}
	b.store.events["evt_1"] = carillon.EventRow{Event: carillon.Event{ID: "evt_1"}, Run: run}
	b.store.deliveries = []carillon.Delivery{{EventID: "evt_1", SubscriptionID: created.ID, State: carillon.Failed, Redeliveries: 2, Run: run}}
	path := "/v1/events/evt_1/deliveries/" + created.ID + "/redeliver"

	p := b.problem(t, http.StatusGone, call{method: http.MethodPost, path: path})
	require.Equal(t, carillon.CodeExpired, p.Code)

	b.history.publications["event/evt_1"] = &carillon.Publication{Event: carillon.Event{ID: "evt_1"}}
	accepted := decode[acceptedView](t, b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path}))
	require.Equal(t, "event/evt_1/"+created.ID+"/redelivery/3", accepted.Run.WorkflowID)

	first := decode[acceptedView](t, b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path, body: `{"number":2}`}))
	require.Equal(t, "event/evt_1/"+created.ID+"/redelivery/2", first.Run.WorkflowID, "it was asked for before")
	require.Len(t, b.publisher.asked, 1)
	p = b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: path, body: `{"number":9}`})
	require.Equal(t, "/number", p.Errors[0].Pointer)

	b.store.deliveries[0].State = carillon.Retrying
	p = b.problem(t, http.StatusConflict, call{method: http.MethodPost, path: path})
	require.Equal(t, carillon.CodeInProgress, p.Code)
	// Its run was terminated: nobody else will end it.
	b.history.ends = map[string]carillon.RunEnd{"event/evt_1": carillon.RunTerminated}
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path})

	b.store.deliveries[0].State = carillon.Failed
	click := call{method: http.MethodPost, path: path, header: map[string]string{"Idempotency-Key": "click-1"}}
	b.ok(t, http.StatusAccepted, click)
	asked := len(b.publisher.asked)
	b.store.deliveries[0].Redeliveries, b.store.deliveries[0].RedeliveryKey = 3, b.publisher.key
	again := decode[acceptedView](t, b.ok(t, http.StatusAccepted, click))
	require.Equal(t, "event/evt_1/"+created.ID+"/redelivery/3", again.Run.WorkflowID)
	require.Len(t, b.publisher.asked, asked)
	b.problem(t, http.StatusNotFound, call{method: http.MethodPost, path: "/v1/events/evt_1/deliveries/sub_x/redeliver"})
}
