package channels_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/formats"
)

// sendPing sends a ping in a format, and returns the attempt and what arrived.
func sendPing(t *testing.T, format, options, fields string) (carillon.Attempt, *http.Request) {
	t.Helper()
	var got *http.Request
	base := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		// What a receiver echoes must not be recorded where it is a secret.
		_ = json.NewEncoder(w).Encode(r.Header)
	}), (*httptest.Server).Start)
	sender := webhook(t, loopback)
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"`+base+`"`+fields+`}`), nil)
	require.NoError(t, err)
	a := sender.Attempt(t.Context(), channels.Message{
		Event: carillon.Event{
			ID: "evt_1", Type: "ping", Source: "s", Actor: "Zoë", Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), Data: json.RawMessage(`{}`),
		},
		Endpoint: kept, Format: format, FormatOptions: json.RawMessage(options), Number: 1,
	})
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	return a, got
}

func TestAFormatSetsItsHeaders(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		format, options string
		want            map[string]string
	}{
		"standard": {"standard", "", map[string]string{"Content-Type": "application/json", "User-Agent": "Carillon/"}},
		"MyGet": {"myget", "", map[string]string{
			"Content-Type": "application/vnd.myget.webhooks.v1+json", "User-Agent": "MyGet Web Hook/1.0 (Carillon/",
			"X-MyGet-EventIdentifier": "2d003796-e7e8-59a3-8bd9-348c5ce30903",
		}},
		"MyGet as JSON": {"myget", `{"content_type":"application/json"}`, map[string]string{"Content-Type": "application/json"}},
		"DefectDojo": {"defectdojo", "", map[string]string{
			"X-DefectDojo-Event": "ping", "X-DefectDojo-Instance": "https://bells.example.com",
			"User-Agent": "DefectDojo-2 (Carillon/", "Accept": "application/json",
		}},
		"CloudEvents":         {"cloudevents", `{"mode":"structured"}`, map[string]string{"Content-Type": "application/cloudevents+json", "Ce-Id": ""}},
		"CloudEvents, binary": {"cloudevents", `{"mode":"binary"}`, map[string]string{"Content-Type": "application/json", "Ce-Id": "evt_1", "Ce-Actor": "Zo%C3%AB"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, got := sendPing(t, tc.format, tc.options, "")
			for header, value := range tc.want {
				if header == "User-Agent" {
					require.True(t, strings.HasPrefix(got.Header.Get(header), value), got.Header.Get(header))
					continue
				}
				require.Equal(t, value, got.Header.Get(header), header)
				if value != "" {
					require.Equal(t, value, a.Request.Headers[http.CanonicalHeaderKey(header)], "it is recorded")
				}
			}
			require.Equal(t, "evt_1", got.Header.Get("webhook-id"), "every format is signed")
			require.NotEmpty(t, got.Header.Get("webhook-signature"))
		})
	}
}

func TestATokenGoesWhereTheFormatHasAPlaceForIt(t *testing.T) {
	t.Parallel()
	a, got := sendPing(t, "codescoring", "", `,"token":"marked-token-1234"`)
	require.Equal(t, "marked-token-1234", got.Header.Get("X-CodeScoring-Authentication"))
	recorded, err := json.Marshal(a)
	require.NoError(t, err)
	require.NotContains(t, string(recorded), "marked-token")

	_, got = sendPing(t, "codescoring", "", "")
	require.NotContains(t, got.Header, "X-Codescoring-Authentication")
}

func TestOnlyWebhooksHaveFormats(t *testing.T) {
	t.Parallel()
	require.Nil(t, channels.Carries(carillon.Subscription{Channel: "email", Format: "myget"}))
	require.Nil(t, channels.Carries(carillon.Subscription{Channel: "webhook", Format: "of another version"}))
	require.NoError(t, channels.CheckFormat(carillon.Subscription{Channel: "email", Format: "myget"}))
	for _, name := range formats.Names() {
		f, _ := formats.Lookup(name)
		carries := channels.Carries(carillon.Subscription{Channel: "webhook", Format: name})
		for _, typ := range []string{"ping", "package.added", "tracker.scan_added", "sca.policy_triggered", "nonsense"} {
			require.Equal(t, f.Carries(typ), carries(typ), "%s × %s", name, typ)
		}
	}
}
