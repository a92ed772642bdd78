package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestASubscriptionShowsItsHealth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := decode[subscriptionView](t, b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/subscriptions", body: bareWatcher}))
	since := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	later := since.Add(time.Minute)
	for name, tt := range map[string]struct {
		health carillon.Health
		want   healthView
	}{
		"ok":      {carillon.Health{}, healthView{State: carillon.HealthOK}},
		"failing": {carillon.Health{Failures: 3, FailingSince: since}, healthView{State: carillon.HealthFailing, Since: &since, Failures: 3}},
		"open": {
			carillon.Health{Failures: 24, FailingSince: since.Add(-time.Hour), OpenSince: since, ProbeAt: later},
			healthView{State: carillon.HealthOpen, Since: &since, Failures: 24, NextProbe: &later},
		},
	} {
		sub := b.store.subscriptions[created.ID]
		sub.Health = tt.health
		b.store.subscriptions[created.ID] = sub
		shown := decode[subscriptionView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/subscriptions/" + created.ID}))
		require.Equal(t, tt.want, shown.Health, name)
	}
}

func TestEnablingAndRecoveringCloseTheBreaker(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := decode[subscriptionView](t, b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/subscriptions", body: bareWatcher}))
	path := "/v1/subscriptions/" + created.ID
	open := func() {
		sub := b.store.subscriptions[created.ID]
		sub.Health = carillon.Health{Failures: 20, OpenSince: time.Now()}
		b.store.subscriptions[created.ID] = sub
	}
	open()
	enabled := decode[subscriptionView](t, b.ok(t, http.StatusOK, call{method: http.MethodPost, path: path + "/enable"}))
	require.Equal(t, carillon.HealthOK, enabled.Health.State)
	require.False(t, b.store.subscriptions[created.ID].Health.Open())

	open()
	b.ok(t, http.StatusOK, call{method: http.MethodPost, path: path + "/recover", body: `{"dry_run":true}`})
	require.True(t, b.store.subscriptions[created.ID].Health.Open(), "a dry run changes nothing")
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: path + "/recover", body: `{}`})
	require.False(t, b.store.subscriptions[created.ID].Health.Open())
}

// What is answered can be sent back as it is.
func TestHealthIsReadOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created := decode[subscriptionView](t, b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/subscriptions", body: bareWatcher}))
	put := decode[subscriptionView](t, b.ok(t, http.StatusOK, call{
		method: http.MethodPut, path: "/v1/subscriptions/" + created.ID,
		body: `{"name":"watcher","event_types":["package.*"],"channel":"webhook","endpoint":{"url":"https://hooks.example.com/x"},
			"health":{"state":"open","failures":99}}`,
	}))
	require.Equal(t, healthView{State: carillon.HealthOK}, put.Health)
}
