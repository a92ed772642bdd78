package channels_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/internal/signature"
)

var loopback = safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

const (
	markedSecret   = "whsec_bWFya2VkLXNlY3JldC1tYXJrZWQtc2VjcmV0"
	markedPrevious = "whsec_bWFya2VkLXByZXZpb3VzLW1hcmtlZC1wcmV2"
	markedPath     = "/marked-path/hook"
	markedQuery    = "token=marked-query"
)

func webhook(t *testing.T, p safehttp.Policy) channels.Sender {
	t.Helper()
	sender, ok := channels.NewRegistry(channels.Config{Policy: p, Now: time.Now, PublicURL: "https://bells.example.com"})["webhook"]
	require.True(t, ok)
	require.Equal(t, "webhook", sender.Name())
	return sender
}

func server(t *testing.T, h http.Handler, start func(*httptest.Server)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s)
	t.Cleanup(s.Close)
	return s.URL
}

// serve starts a receiver and returns it with its address.
func serve(t *testing.T) (*receiver.Receiver, string) {
	t.Helper()
	r := receiver.New()
	return r, server(t, r, (*httptest.Server).Start)
}

func webhookConforms() conformance {
	return conformance{
		setup:  setupWebhook,
		format: "standard",
		secrets: []string{
			markedSecret, strings.TrimPrefix(markedSecret, "whsec_"), markedPrevious, "marked-password",
			base64.StdEncoding.EncodeToString([]byte("user:marked-password")), "marked-header-1234",
		},
		hidden: []string{"marked-path/hook", "marked-query"},
	}
}

func setupWebhook(t *testing.T, b behaviour) (channels.Sender, json.RawMessage) {
	t.Helper()
	policy, timeout := loopback, "30s"
	r := receiver.New()
	start := (*httptest.Server).Start
	var handler http.Handler = r
	switch b {
	case busy:
		r.Script(markedPath, receiver.Reply{Status: 503})
	case busyFor:
		r.Script(markedPath, receiver.Reply{Status: 429, Header: http.Header{"Retry-After": {"7"}}})
	case gone:
		r.Script(markedPath, receiver.Reply{Status: 410, Body: "no more"})
	case hangs:
		timeout = "200ms"
		r.Script(markedPath, receiver.Reply{Hang: t.Context().Done()})
	case untrusted:
		start = (*httptest.Server).StartTLS
	case oversized:
		handler = http.HandlerFunc(endless)
	case nasty:
		worst := strings.Repeat("<\x00\"\xff\\\u2028", 1<<10)
		header := http.Header{}
		for i := range 40 {
			header.Set(fmt.Sprintf("X-Nasty-%d", i), strings.Repeat("<\"\xff\\", 60))
		}
		r.Script(markedPath, receiver.Reply{Status: 500, Header: header, Body: worst})
	case echoes:
		handler = http.HandlerFunc(echo)
	}
	target := server(t, handler, start)
	switch b {
	case forbidden:
		policy = safehttp.Policy{}
		target = strings.Replace(target, "127.0.0.1", "localhost", 1)
	case down:
		dead := httptest.NewServer(r)
		target = dead.URL
		dead.Close()
	}
	posted, err := json.Marshal(map[string]any{
		"url": target + markedPath + "?" + markedQuery, "secret": markedSecret, "previous_secrets": []string{markedPrevious},
		"basic_auth": map[string]string{"username": "user", "password": "marked-password"},
		"headers":    map[string]string{"X-Team": "Token marked-header-1234"}, "timeout": timeout,
	})
	require.NoError(t, err)
	return webhook(t, policy), posted
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte("0123456789abcdef"), 1<<10)); err != nil {
			return
		}
	}
}

// echo answers with the request, in several spellings.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Echo", r.Header.Get("Authorization"))
	w.Header().Set("Location", r.URL.String())
	w.Header().Set("Set-Cookie", "session=marked-path/hook")
	_ = r.Header.Write(w)
	_ = json.NewEncoder(w).Encode(map[string]any{"header": r.Header, "path": r.URL.Path, "query": r.URL.RawQuery})
	user, password, _ := r.BasicAuth()
	_, _ = fmt.Fprintf(w, "%s %s %s %s ", markedSecret, markedPrevious, user, password)
}

func attempt(t *testing.T, sender channels.Sender, posted string) carillon.Attempt {
	t.Helper()
	kept, _, err := sender.Prepare(json.RawMessage(posted), nil)
	require.NoError(t, err)
	return sender.Attempt(t.Context(), conformance{format: "standard"}.message(kept, 1))
}

func TestWebhookSendsASignedRequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fields, method string
		headers        map[string]string
		verifiers      []string
	}{
		"with its defaults": {
			fields: `"secret":"` + markedSecret + `"`, method: "POST", verifiers: []string{markedSecret},
		},
		"with every field": {
			fields: `"secret":"whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=","previous_secrets":["` + markedPrevious + `"],` +
				`"method":"put","headers":{"x-team":"core","X-Env":"test"},"bearer_token":"marked-token"`,
			method: "PUT", verifiers: []string{"whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", markedPrevious},
			headers: map[string]string{"X-Team": "core", "X-Env": "test", "Authorization": "Bearer marked-token"},
		},
		"with basic auth": {
			fields: `"secret":"` + markedSecret + `","basic_auth":{"username":"user","password":"pass:word"},"method":"GET"`,
			method: "GET", verifiers: []string{markedSecret},
			headers: map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pass:word"))},
		},
		"with an Authorization of another scheme": {
			fields: `"secret":"` + markedSecret + `","headers":{"authorization":"Splunk marked-token"}`, method: "POST", verifiers: []string{markedSecret},
			headers: map[string]string{"Authorization": "Splunk marked-token"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, base := serve(t)
			a := attempt(t, webhook(t, loopback), `{"url":"`+base+`/hook?a=b",`+tc.fields+`}`)
			require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)

			requests := r.Requests("/hook")
			require.Len(t, requests, 1)
			got := requests[0]
			require.Equal(t, tc.method, got.Method)
			require.Equal(t, "a=b", got.Query)
			require.JSONEq(t, `{"id":"evt_01JD9Q7V5T3K8M2N4P6R8S0T1V","type":"package.added","timestamp":"2026-11-21T20:00:00Z",`+
				`"source":"registry.example.com","subject":"pkg:npm/left-pad@1.3.0","data":{"package":"left-pad","version":"1.3.0"}}`, string(got.Body))
			require.Equal(t, "application/json", got.Header.Get("Content-Type"))
			require.Regexp(t, `^Carillon/\S+$`, got.Header.Get("User-Agent"))
			require.Equal(t, "evt_01JD9Q7V5T3K8M2N4P6R8S0T1V", got.Header.Get("Webhook-Id"))
			require.NotContains(t, got.Header, "Idempotency-Key")
			require.NotContains(t, got.Header, "Accept-Encoding")
			for name, value := range tc.headers {
				require.Equal(t, value, got.Header.Get(name))
			}
			for _, text := range tc.verifiers {
				key, err := signature.ParseKey(text)
				require.NoError(t, err)
				keys := []signature.Key{key}
				require.NoError(t, signature.Verify(keys, got.Header, got.Body, time.Now(), signature.DefaultTolerance))
				require.ErrorIs(t, signature.Verify(keys, got.Header, append(got.Body, ' '), time.Now(), signature.DefaultTolerance), signature.ErrSignature)
			}
		})
	}
}

func TestWebhookRecordsWhatWasSentAndAnsweredWithoutSecrets(t *testing.T) {
	t.Parallel()
	r, base := serve(t)
	r.Script("/hook", receiver.Reply{Status: 500, Body: "oh no", Header: http.Header{
		"Content-Type": {"text/plain"}, "Set-Cookie": {"session=marked"}, "X-Csrf-Token": {"marked"}, "X-Request-Id": {"42"},
	}})
	a := attempt(t, webhook(t, loopback), `{"url":"`+base+`/hook","bearer_token":"marked-token","headers":{"X-Team":"marked-team"}}`)

	sent := r.Requests("/hook")[0]
	require.Equal(t, "POST", a.Request.Method)
	require.Equal(t, strings.TrimPrefix(base, "http://"), a.Request.Host)
	require.Equal(t, len(sent.Body), a.Request.PayloadBytes)
	require.Len(t, a.Request.PayloadSHA256, 64)
	require.Equal(t, sent.Header.Get("Webhook-Signature"), a.Request.Headers["Webhook-Signature"])
	require.Equal(t, "••••", a.Request.Headers["Authorization"])
	require.Equal(t, "••••", a.Request.Headers["X-Team"])

	require.Equal(t, 500, a.Response.Status)
	require.Equal(t, "HTTP 500 Internal Server Error", a.Error)
	require.Equal(t, "oh no", a.Response.Body)
	require.False(t, a.Response.Truncated)
	require.Equal(t, "text/plain", a.Response.Headers["Content-Type"])
	require.Equal(t, "42", a.Response.Headers["X-Request-Id"])
	require.Equal(t, "••••", a.Response.Headers["Set-Cookie"])
	require.Equal(t, "••••", a.Response.Headers["X-Csrf-Token"])
}

func TestWebhookNeverFollowsARedirect(t *testing.T) {
	t.Parallel()
	r, base := serve(t)
	for _, location := range []string{base + "/elsewhere", "http://%zz/", ""} {
		r.Script("/hook", receiver.Reply{Status: 302, Header: http.Header{"Location": {location}}})
		a := attempt(t, webhook(t, loopback), `{"url":"`+base+`/hook"}`)
		require.Equal(t, carillon.OutcomeRetry, a.Outcome)
		require.Equal(t, "HTTP 302 Found: redirects are not followed", a.Error)
		require.Equal(t, 302, a.Response.Status)
	}
	require.Empty(t, r.Requests("/elsewhere"))
}

func TestWebhookTakesASecondConnectionWhenTheFirstWasClosedWhileIdle(t *testing.T) {
	t.Parallel()
	var count atomic.Int32
	base := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if count.Add(1) != 2 {
			return
		}
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	}), (*httptest.Server).Start)
	sender := webhook(t, loopback)
	require.Equal(t, carillon.OutcomeDelivered, attempt(t, sender, `{"url":"`+base+`"}`).Outcome)
	a := attempt(t, sender, `{"url":"`+base+`"}`)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.EqualValues(t, 3, count.Load())
}

func TestWebhookCountsAnAnswerWhoseBodyNeverEndsAsDelivered(t *testing.T) {
	t.Parallel()
	base := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "taken!") // ends with what no secret begins with
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}), (*httptest.Server).Start)
	a := attempt(t, webhook(t, loopback), `{"url":"`+base+`","timeout":"200ms"}`)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Equal(t, "taken!", a.Response.Body)
	require.True(t, a.Response.Truncated)
}

func TestWebhookDoesNotReadTheConnectionOfASwitchedProtocol(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	base := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: marked\r\n\r\n")
		<-release
		_ = conn.Close()
	}), (*httptest.Server).Start)
	a := attempt(t, webhook(t, loopback), `{"url":"`+base+`","timeout":"5s"}`)
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "HTTP 101 Switching Protocols", a.Error)
	require.Less(t, a.DurationMS, int64(1000))
}

func TestWebhookRejectsWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	sender := webhook(t, loopback)
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"http://hooks.example.com/marked"}`), nil)
	require.NoError(t, err)
	m := conformance{format: "runes"}.message(kept, 1)
	a := sender.Attempt(t.Context(), m)
	require.Equal(t, carillon.OutcomeReject, a.Outcome)
	require.Equal(t, `there is no format "runes"`, a.Error)

	m.Format, m.Event.Data = "standard", json.RawMessage(`{`)
	a = sender.Attempt(t.Context(), m)
	require.Equal(t, carillon.OutcomeReject, a.Outcome)
	require.Equal(t, "the payload cannot be written: the event cannot be written as JSON", a.Error)
	require.Equal(t, "hooks.example.com", a.Request.Host)
}

func TestWebhookFillsDefaultsAndMakesASecret(t *testing.T) {
	t.Parallel()
	sender := webhook(t, safehttp.Policy{})
	kept, shown, err := sender.Prepare(json.RawMessage(`{"url":"https://Hooks.Example.com:8443/x"}`), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"secret"}, slices.Collect(maps.Keys(shown)))
	require.JSONEq(t, `{"url":"https://Hooks.Example.com:8443/x","method":"POST","timeout":"15s","secret":"`+shown["secret"]+`"}`, string(kept))
	require.Equal(t, "hooks.example.com:8443", sender.Host(kept))
	require.Equal(t, 15*time.Second, sender.Timeout(kept))
}
