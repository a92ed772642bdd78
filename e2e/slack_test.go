package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/strict"
)

// slackWorkspace starts a workspace and returns it with the base URL of its Web
// API.
func slackWorkspace(t *testing.T) (workspace *strict.Slack, base string) {
	t.Helper()
	workspace = &strict.Slack{
		Token: "xoxb-marked-token-1234", Webhook: "/services/T0/B0/marked-webhook-secret",
		Channels: map[string]string{"#releases": "C0RELEASES"}, Members: map[string]string{"zoe@example.com": "U0ZOE"},
	}
	server := httptest.NewServer(workspace)
	t.Cleanup(server.Close)
	return workspace, server.URL + "/api"
}

// endpointOf is a subscription's endpoint as it was answered.
func endpointOf(t *testing.T, sub client.Subscription) json.RawMessage {
	t.Helper()
	raw, ok := sub.Endpoint.(json.RawMessage)
	require.True(t, ok)
	return raw
}

func buildEvent(step string, at time.Time) client.NewEvent {
	return client.NewEvent{
		Type: "build." + step, Source: "ci.example.com", Subject: "SampleBuild/7", Time: at, Scope: map[string]string{"feed": "sample-feed"},
		Data: map[string]any{"name": "SampleBuild", "branch": "main"},
	}
}

func TestSlackIsToldInThreadsAndBuildsAreKeptCurrent(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		workspace, base := slackWorkspace(t)
		sub := i.subscribe("", func(s *client.Subscription) {
			s.EventTypes, s.Channel = []string{"package.*", "build.*"}, "slack"
			s.Endpoint = client.Slack{Token: workspace.Token, BaseURL: base, Channel: "#releases", Username: "Carillon"}
			schedule(time.Second)(s)
		})
		require.NotContains(t, string(endpointOf(t, sub)), "marked-token")

		i.awaitDelivery(i.publish(added("1")).ID, sub.ID, carillon.Succeeded)
		promoted := added("2")
		promoted.Type = "package.promoted"
		i.awaitDelivery(i.publish(promoted).ID, sub.ID, carillon.Succeeded)
		there := workspace.Messages()
		require.Len(t, there, 2)
		require.Equal(t, "Carillon", there[0].Username)
		require.Equal(t, there[0].TS, there[1].ThreadTS)

		// The thread outlives the process.
		i.carillon.stop(t)
		i.startCarillon()
		deleted := added("3")
		deleted.Type = "package.deleted"
		i.awaitDelivery(i.publish(deleted).ID, sub.ID, carillon.Succeeded)
		require.Equal(t, there[0].TS, workspace.Messages()[2].ThreadTS)

		noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		for n, step := range []string{"queued", "started", "finished"} {
			i.awaitDelivery(i.publish(buildEvent(step, noon.Add(time.Duration(n)*time.Minute))).ID, sub.ID, carillon.Succeeded)
		}
		there = workspace.Messages()
		require.Len(t, there, 4)
		require.Equal(t, 2, there[3].Edits)
		require.Contains(t, string(there[3].Body), "build.finished")
		require.NotContains(t, i.carillon.log.String(), "marked-token")
	})
}

func TestSlackSaysNo(t *testing.T) {
	t.Parallel()
	i := start(t)
	workspace, base := slackWorkspace(t)
	subscribe := func(name string, endpoint client.Slack) client.Subscription {
		return i.subscribe("", func(s *client.Subscription) {
			s.Name, s.Channel, s.Endpoint = name, "slack", endpoint
			s.Scope = map[string][]string{"feed": {name}}
			schedule(time.Second, time.Second)(s)
		})
	}
	publish := func(feed string) string {
		event := added(feed)
		event.Scope = map[string]string{"feed": feed}
		return i.publish(event).ID
	}

	// 429, then ok.
	busy := subscribe("busy", client.Slack{Token: workspace.Token, BaseURL: base, Channel: "#releases"})
	workspace.Script(strict.SlackReply{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}, Body: `{"ok":false,"error":"ratelimited"}`})
	d := i.awaitDelivery(publish("busy"), busy.ID, carillon.Succeeded)
	require.Equal(t, []carillon.Outcome{carillon.OutcomeRetry, carillon.OutcomeDelivered}, outcomes(d))
	require.Equal(t, "HTTP 429 Too Many Requests, Slack: ratelimited", d.Attempts[0].Error)
	require.Len(t, workspace.Messages(), 1)

	// A post that arrived and whose answer was lost.
	workspace.Script(strict.SlackReply{Status: http.StatusGatewayTimeout, After: true})
	lost := subscribe("lost", client.Slack{Token: workspace.Token, BaseURL: base, Channel: "#releases"})
	i.awaitDelivery(publish("lost"), lost.ID, carillon.Succeeded)
	require.Len(t, workspace.Messages(), 2)

	// No such channel, with a status of success.
	nowhere := subscribe("nowhere", client.Slack{Token: workspace.Token, BaseURL: base, Channel: "#nowhere"})
	d = i.awaitDelivery(publish("nowhere"), nowhere.ID, carillon.Failed)
	require.Contains(t, d.Error, "Slack: channel_not_found")
	i.eventually("the subscription is disabled", func() bool {
		sub, err := i.client.Subscription(t.Context(), nowhere.ID)
		require.NoError(t, err)
		return sub.State == carillon.Disabled
	})

	// A wrong token: it arrives once somebody has given the right one.
	wrong := subscribe("wrong", client.Slack{Token: "xoxb-marked-wrong-1234", BaseURL: base, Email: "zoe@example.com"})
	id := publish("wrong")
	d = i.awaitDelivery(id, wrong.ID, carillon.Held)
	require.Contains(t, d.Error, "Slack: invalid_auth")
	require.NotContains(t, i.carillon.log.String(), "marked-wrong")
	_, err := i.client.ChangeSubscription(t.Context(), wrong.ID, "", map[string]any{
		"endpoint": client.Slack{Token: workspace.Token, BaseURL: base, Email: "zoe@example.com"},
	})
	require.NoError(t, err)
	_, err = i.client.Enable(t.Context(), wrong.ID)
	require.NoError(t, err)
	i.awaitDelivery(id, wrong.ID, carillon.Succeeded)
	there := workspace.Messages()
	require.Equal(t, "DU0ZOE", there[len(there)-1].Channel)
}

func TestAWebhookOfSlackIsASecret(t *testing.T) {
	t.Parallel()
	i := start(t)
	workspace, base := slackWorkspace(t)
	hook := base[:len(base)-len("/api")] + workspace.Webhook
	sub := i.subscribe("", func(s *client.Subscription) {
		s.Channel, s.Endpoint = "slack", client.Slack{URL: hook, Channel: "#elsewhere"}
	})
	require.Len(t, sub.Warnings, 1)
	require.Equal(t, "/endpoint/channel", sub.Warnings[0].Pointer)
	require.NotContains(t, string(endpointOf(t, sub)), "marked-webhook-secret")
	d := i.awaitDelivery(i.publish(added("1")).ID, sub.ID, carillon.Succeeded)
	require.Len(t, workspace.Messages(), 1)
	require.NotContains(t, d.Host, "services")
	require.NotContains(t, i.carillon.log.String(), "marked-webhook-secret")
}
