package e2e

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/strict"
)

func TestTeamsGetsACardAndAConnectorsErrorIsOne(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/workflow", receiver.Reply{Status: 202})
	i.hooks.Script("/connector",
		receiver.Reply{Body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=0"},
		receiver.Reply{Body: "1"})
	teams := func(path, kind string) client.Subscription {
		return i.subscribe(path, schedule(time.Second), func(s *client.Subscription) {
			s.Channel = "teams"
			s.Endpoint = map[string]any{"url": i.hook + path + "?sig=marked-signature", "kind": kind}
		})
	}
	workflow, connector := teams("/workflow", "workflow"), teams("/connector", "connector")
	require.NotContains(t, string(workflow.Endpoint.(json.RawMessage)), "marked-sig")
	accepted := i.publish(added("1"))

	i.awaitDelivery(accepted.ID, workflow.ID, carillon.Succeeded)
	var message struct {
		Type        string
		Attachments []struct {
			Content struct{ Type, Version string }
		}
	}
	request := i.requests("/workflow", 1)[0]
	require.NoError(t, json.Unmarshal(request.Body, &message))
	require.Equal(t, "message", message.Type)
	require.Equal(t, "AdaptiveCard", message.Attachments[0].Content.Type)
	require.Equal(t, "1.4", message.Attachments[0].Content.Version)
	require.Contains(t, string(request.Body), "MyCorp.CoolUtils")

	delivery := i.awaitDelivery(accepted.ID, connector.ID, carillon.Succeeded)
	require.Equal(t, []carillon.Outcome{"retry", "delivered"}, outcomes(delivery))
	require.Contains(t, delivery.Attempts[0].Error, "HTTP error 429")
	for _, r := range i.requests("/connector", 2) {
		require.Contains(t, string(r.Body), `"@type":"MessageCard"`)
	}
}

func TestASubscriptionTextsEachNumberOnce(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		const sid, token = "AC0123456789abcdef0123456789abcdef", "marked-token-1234"
		const first, busy, gone = "+14155552671", "+14155552672", "+14155552673"
		twilio := &strict.Twilio{SID: sid, User: sid, Password: token}
		server := httptest.NewServer(twilio)
		t.Cleanup(server.Close)
		twilio.Refuse(busy, strict.TwilioError{Status: 503, Code: 20503, Message: "Service unavailable"}, strict.TwilioError{})
		twilio.Refuse(gone, strict.TwilioError{Status: 400, Code: 21610, Message: "Attempt to send to unsubscribed recipient"})
		sub := i.subscribe("", schedule(time.Second), func(s *client.Subscription) {
			s.Channel = "twilio"
			s.Endpoint = map[string]any{
				"account_sid": sid, "auth_token": token, "from": "+15005550006", "to": []string{first, busy, gone}, "base_url": server.URL,
				"message": map[string]string{"title": "${data.package} ${data.version} is there"},
			}
		})
		accepted := i.publish(added("1"))
		delivery := i.awaitDelivery(accepted.ID, sub.ID, carillon.Failed)
		require.Equal(t, []carillon.Outcome{"retry", "reject"}, outcomes(delivery))
		require.Contains(t, delivery.Error, "1 of 3 numbers refused: •••• 2673 has unsubscribed (21610)")
		text := func(to string) strict.SMS {
			return strict.SMS{To: to, From: "+15005550006", Body: "MyCorp.CoolUtils 3.2.0 is there"}
		}
		require.Equal(t, []strict.SMS{text(first), text(busy)}, twilio.Taken(), "nobody got it twice")
		require.NoError(t, twilio.Problems())
		i.carillon.stop(t)
		require.NotContains(t, i.carillon.log.String(), gone)
		require.NotContains(t, i.carillon.log.String()+i.files(), token)
	})
}
