package channels_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// asked is a receiver that answers OPTIONS with the headers.
func asked(t *testing.T, requests *atomic.Int32, header http.Header) string {
	t.Helper()
	return server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			requests.Add(1)
			for _, name := range []string{"Authorization", "X-Team", "Webhook-Signature"} {
				if r.Header.Get(name) != "" {
					t.Errorf("asked with %s", name)
				}
			}
			if origin := r.Header.Get("WebHook-Request-Origin"); origin != "bells.example.com" {
				t.Errorf("asked by %q", origin)
			}
			maps.Copy(w.Header(), header)
			w.WriteHeader(http.StatusMethodNotAllowed) // says nothing
			return
		}
		w.Header().Set("X-Origin", r.Header.Get("WebHook-Request-Origin"))
	}), (*httptest.Server).Start)
}

func ask(t *testing.T, sender channels.Sender, e carillon.Endpoint) (carillon.Endpoint, error) {
	t.Helper()
	asking, ok := sender.(channels.Consenter)
	require.True(t, ok)
	return asking.Consent(t.Context(), e)
}

func TestAReceiverThatConsentsIsAskedOnceAndSentTo(t *testing.T) {
	t.Parallel()
	sender := webhook(t, loopback)
	for name, tc := range map[string]struct {
		header http.Header
		rate   string
	}{
		"by name":        {http.Header{"Webhook-Allowed-Origin": {"bells.example.com"}}, ""},
		"to anybody":     {http.Header{"Webhook-Allowed-Origin": {"*"}, "Webhook-Allowed-Rate": {"*"}}, ""},
		"to some a time": {http.Header{"Webhook-Allowed-Origin": {"*"}, "Webhook-Allowed-Rate": {"120"}}, `"allowed_rate":120`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			url := asked(t, &requests, tc.header)
			text := `{"url":"` + url + `/hook","handshake":true,"bearer_token":"marked-token","headers":{"X-Team":"marked"}}`
			kept, _, err := sender.Prepare(json.RawMessage(text), nil)
			require.NoError(t, err)
			a := sender.Attempt(t.Context(), conformance{format: "standard"}.message(kept, 1))
			require.Equal(t, carillon.OutcomeReject, a.Outcome)
			require.Equal(t, "the receiver has not consented; save the subscription anew", a.Error)

			kept, err = ask(t, sender, kept)
			require.NoError(t, err)
			var shown struct {
				ValidatedAt time.Time `json:"validated_at"`
			}
			redacted := sender.Redact(kept)
			require.NoError(t, json.Unmarshal(redacted, &shown))
			require.WithinDuration(t, time.Now(), shown.ValidatedAt, time.Minute)
			require.Contains(t, string(redacted), tc.rate)

			a = sender.Attempt(t.Context(), conformance{format: "standard"}.message(kept, 1))
			require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
			require.Equal(t, "bells.example.com", a.Response.Headers["X-Origin"])

			again, _, err := sender.Prepare(redacted, kept)
			require.NoError(t, err)
			again, err = ask(t, sender, again)
			require.NoError(t, err)
			require.JSONEq(t, string(kept), string(again))
			require.EqualValues(t, 1, requests.Load())

			elsewhere := strings.Replace(string(redacted), "/hook", "/other", 1)
			again, _, err = sender.Prepare(json.RawMessage(elsewhere), kept)
			require.NoError(t, err)
			_, err = ask(t, sender, again)
			require.NoError(t, err)
			require.EqualValues(t, 2, requests.Load(), "another url is another consent")
		})
	}
}

func TestAReceiverThatDoesNotConsentIsNotSentTo(t *testing.T) {
	t.Parallel()
	sender := webhook(t, loopback)
	var requests atomic.Int32
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, tc := range map[string]struct{ url, detail string }{
		"no word of it": {asked(t, &requests, nil), "its answer to OPTIONS (HTTP 405) must have WebHook-Allowed-Origin: bells.example.com, or *"},
		"to another":    {asked(t, &requests, http.Header{"Webhook-Allowed-Origin": {"marked.example.com"}}), "must have WebHook-Allowed-Origin"},
		"at no rate": {
			asked(t, &requests, http.Header{"Webhook-Allowed-Origin": {"*"}, "Webhook-Allowed-Rate": {"0"}}),
			"its WebHook-Allowed-Rate must be a number",
		},
		"at a rate that is none": {
			asked(t, &requests, http.Header{"Webhook-Allowed-Origin": {"*"}, "Webhook-Allowed-Rate": {"marked"}}),
			"its WebHook-Allowed-Rate must be a number",
		},
		"nobody there":                    {closed.URL, "connection refused"},
		"a place that may not be reached": {"http://moved.invalid", "host name"},
		"never": {
			server(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), (*httptest.Server).Start),
			"it does not answer OPTIONS within 200ms",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept, _, err := sender.Prepare(json.RawMessage(`{"url":"`+tc.url+`/hook","handshake":true,"timeout":"200ms"}`), nil)
			require.NoError(t, err)
			_, err = ask(t, sender, kept)
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
			require.ErrorContains(t, err, "/endpoint/handshake: the receiver does not consent: ")
			require.ErrorContains(t, err, tc.detail)
			require.NotContains(t, err.Error(), "marked")
		})
	}
}

func TestAHandshakeIsForOneURL(t *testing.T) {
	t.Parallel()
	sender := webhook(t, loopback)
	_, _, err := sender.Prepare(json.RawMessage(`{"url":"https://hooks.example.com/${data.package}","handshake":true}`), nil)
	require.ErrorContains(t, err, "/endpoint/handshake: cannot be had")
	_, _, err = sender.Prepare(json.RawMessage(`{"url":"https://hooks.example.com/","handshake":"yes"}`), nil)
	require.ErrorContains(t, err, "/endpoint/handshake: must be true or false")

	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"https://hooks.example.com/"}`), nil)
	require.NoError(t, err)
	same, err := ask(t, sender, kept)
	require.NoError(t, err)
	require.Equal(t, kept, same, "nobody is asked who need not be")
}
