package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// codeScoring sends what a script does that knows CodeScoring's page alone.
func (i *instance) codeScoring(method, path, body string) (int, map[string]any) {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), method, i.url()+"/api/settings/webhooks"+path, bytes.NewBufferString(body))
	require.NoError(i.t, err)
	req.Header.Set("Authorization", "Token "+adminKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(i.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(i.t, err)
	var object map[string]any
	if len(text) > 0 {
		require.NoError(i.t, json.Unmarshal(text, &object), "%s", text)
	}
	return resp.StatusCode, object
}

// A webhook is made by a script for CodeScoring; its receiver goes away for
// good, what comes then is held, and a refresh brings all of it.
func TestAWebhookManagedAsCodeScoringsAre(t *testing.T) {
	t.Parallel()
	i := start(t)
	status, webhook := i.codeScoring("POST", "/", `{"name":"hooks","url":"`+i.hook+`/cs","projects":[7],
		"events":["sca_policy_has_been_triggered"],"token":"s3cret-token-1234"}`)
	require.Equal(t, 201, status, webhook)
	require.Equal(t, true, webhook["is_available"])
	page, err := i.client.Subscriptions(t.Context(), 0, "")
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	sub := page.Items[0]
	require.Equal(t, "codescoring", sub.Profile)
	require.Equal(t, &carillon.Batch{Window: carillon.Duration(5 * time.Second), Max: 100}, sub.Batch)
	require.Equal(t, "has(data.project_id) && data.project_id != null && string(data.project_id) in ['7']", sub.EffectiveCondition)

	// Any other behaviour is a profile away; this one takes a 404 for permanent,
	// and gathers nothing.
	_, err = i.client.ChangeSubscription(t.Context(), sub.ID, "", map[string]any{"profile": "defectdojo", "batch": nil})
	require.NoError(t, err)
	alert := func(id string, project int) client.NewEvent {
		return client.NewEvent{ID: id, Type: "sca.policy_triggered", Source: "sca.example.com", Data: map[string]any{
			"alert_id": 1, "stage": "build", "level": "critical", "policy_id": 2, "policy_name": "No criticals",
			"dependency_id": 3, "dependency_purl": "pkg:npm/lodash@4.17.20", "matched_criteria": []string{"CVSS 9.8"}, "project_id": project,
		}}
	}
	i.hooks.Script("/cs", receiver.Reply{Status: http.StatusNotFound})
	first := i.publish(alert("1", 7))
	i.awaitDelivery(first.ID, sub.ID, carillon.Held)
	_, webhook = i.codeScoring("GET", "/1/", "")
	require.Equal(t, false, webhook["is_available"])
	second := i.publish(alert("2", 7))
	i.awaitDelivery(second.ID, sub.ID, carillon.Held)
	other := i.publish(alert("3", 8))

	status, webhook = i.codeScoring("POST", "/1/refresh_availability_status/", "")
	require.Equal(t, 200, status)
	require.Equal(t, false, webhook["is_available"], "the receiver is still away")
	i.hooks.Script("/cs", receiver.Reply{})
	status, webhook = i.codeScoring("POST", "/1/refresh_availability_status/", "")
	require.Equal(t, 200, status)
	require.Equal(t, true, webhook["is_available"])
	i.awaitDelivery(first.ID, sub.ID, carillon.Succeeded)
	i.awaitDelivery(second.ID, sub.ID, carillon.Succeeded)

	var alerts []string
	for _, r := range i.hooks.Requests("/cs") {
		require.Equal(t, "s3cret-token-1234", r.Header.Get("X-CodeScoring-Authentication"))
		var body struct{ Events []struct{ Trigger string } }
		require.NoError(t, json.Unmarshal(r.Body, &body))
		alerts = append(alerts, body.Events[0].Trigger)
	}
	const trigger = "sca_policy_has_been_triggered"
	require.Equal(t, []string{trigger, "test", "test", trigger, trigger}, alerts)

	// Its history has every attempt, and what was sent can be sent again.
	full, err := i.client.Deliveries(t.Context(), client.DeliveryFilter{Subscription: sub.ID, Expand: []string{"attempts", "payload"}})
	require.NoError(t, err)
	require.Len(t, full.Items, 2)
	for _, d := range full.Items {
		require.NotEmpty(t, d.Attempts)
		require.True(t, d.Payload.Exact)
	}
	d, err := i.client.Delivery(t.Context(), first.ID, sub.ID)
	require.NoError(t, err)
	require.Equal(t, carillon.OutcomeRefused, d.Attempts[0].Outcome)
	_, err = i.client.RedeliverAsSent(t.Context(), first.ID, sub.ID, d.Redeliveries+1)
	require.NoError(t, err)
	again := i.requests("/cs", 6)
	require.Equal(t, again[0].Body, again[5].Body)
	_, err = i.client.Delivery(t.Context(), other.ID, sub.ID)
	require.Equal(t, carillon.CodeNotFound, client.CodeOf(err))

	status, webhook = i.codeScoring("GET", "/9/", "")
	require.Equal(t, 404, status)
	require.Equal(t, map[string]any{"detail": "Not found."}, webhook)
	status, _ = i.codeScoring("DELETE", "/1/", "")
	require.Equal(t, 204, status)
}
