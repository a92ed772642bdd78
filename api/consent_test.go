package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// consenting starts a receiver that consents while yes is set, and counts how
// often it was asked.
func consenting(t *testing.T) (url string, yes *atomic.Bool, asked *atomic.Int32) {
	t.Helper()
	yes, asked = &atomic.Bool{}, &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions {
			return
		}
		asked.Add(1)
		if yes.Load() {
			w.Header().Set("WebHook-Allowed-Origin", r.Header.Get("WebHook-Request-Origin"))
			w.Header().Set("WebHook-Allowed-Rate", "60")
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, yes, asked
}

func TestASubscriptionIsSavedOnlyWithTheReceiversConsent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, yes, asked := consenting(t)
	body := watchers(`{"url":"https://hooks.example.com/carillon"}`, `{"url":"`+url+`/hook","handshake":true}`)
	for _, path := range []string{"/v1/subscriptions", "/v1/subscriptions/test"} {
		refused := b.ok(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: path, body: body})
		require.Contains(t, string(refused), `"/endpoint/handshake"`)
		require.Contains(t, string(refused), "WebHook-Allowed-Origin: bells.example.com")
	}
	require.Empty(t, b.store.subscriptions)

	yes.Store(true)
	tested := b.ok(t, http.StatusOK, call{method: http.MethodPost, path: "/v1/subscriptions/test", body: body})
	require.Equal(t, carillon.OutcomeDelivered, decode[testView](t, tested).Attempt.Outcome)
	made := created(t, b, body)
	endpoint := endpointOf(t, made.subscriptionView)
	require.NotEmpty(t, endpoint["validated_at"])
	require.EqualValues(t, 60, endpoint["allowed_rate"])
	require.EqualValues(t, 4, asked.Load())

	yes.Store(false)
	path := "/v1/subscriptions/" + made.ID
	b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: path, body: `{"name":"Others"}`})
	require.EqualValues(t, 4, asked.Load(), "a consent holds for its url")
	patch := `{"endpoint":{"url":"` + url + `/elsewhere"}}`
	b.ok(t, http.StatusUnprocessableEntity, call{method: http.MethodPatch, path: path, body: patch})
	kept := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path})
	require.Contains(t, string(kept), url+"/hook", "what was refused changes nothing")
	b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: path, body: strings.Replace(patch, `"}}`, `","handshake":false}}`, 1)})
}

func TestAURLIsRefusedForItsPortAndAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for target, detail := range map[string]string{
		"http://hooks.example.com:25/": "port 25 belongs to another protocol", "http://2130706433/": "four decimal numbers",
		"http://169.254.169.254/": "cloud metadata service", "https://[fd00::1]/": "private network (CARILLON_ALLOW_CIDRS can allow it)",
		"http://0.0.0.0/": "unspecified", "http://①②⑦.0.0.1:22/": "port 22",
	} {
		text, err := json.Marshal(map[string]string{"url": target})
		require.NoError(t, err)
		refused := b.ok(t, http.StatusUnprocessableEntity, call{
			method: http.MethodPost, path: "/v1/subscriptions", body: watchers(`{"url":"https://hooks.example.com/carillon"}`, string(text)),
		})
		require.Contains(t, string(refused), `"/endpoint/url"`)
		require.Contains(t, string(refused), detail)
	}
	require.Empty(t, b.store.subscriptions)
}
