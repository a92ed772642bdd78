package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/signature"
)

// exchange is a request that the client must make, and the answer to it.
type exchange struct {
	method string
	target string // path and query
	body   string // JSON; empty for none
	header map[string]string

	status int
	// golden names a file that the API's own tests hold its answers against.
	golden string
	answer map[string]string // header
}

// answering returns a client of a server that makes the exchange.
func answering(t *testing.T, e exchange) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || req.Method != e.method || req.RequestURI != e.target || req.Header.Get("Authorization") != "Bearer the-key" {
			t.Errorf("got %s %s with %q", req.Method, req.RequestURI, req.Header.Get("Authorization"))
		}
		if e.body != "" {
			if req.Header.Get("Content-Type") != "application/json" || !sameJSON(e.body, string(body)) {
				t.Errorf("got body %s", body)
			}
		} else if len(body) > 0 {
			t.Errorf("got body %s", body)
		}
		for name, value := range e.header {
			if req.Header.Get(name) != value {
				t.Errorf("got %s: %q", name, req.Header.Get(name))
			}
		}
		for name, value := range e.answer {
			w.Header().Set(name, value)
		}
		w.WriteHeader(e.status)
		if e.golden != "" {
			_, _ = w.Write(read(t, e.golden))
		}
	}))
	t.Cleanup(server.Close)
	return client.New(server.URL+"/", "the-key")
}

func read(t *testing.T, golden string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "api", "testdata", golden+".json"))
	if err != nil {
		t.Error(err)
	}
	return text
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}

func TestPublish(t *testing.T) {
	t.Parallel()
	c := answering(t, exchange{
		method: "POST", target: "/v1/events", status: 202, golden: "publish",
		body: `{"id":"1","type":"package.added","source":"me","scope":{"feed":"f"},"time":"2026-11-21T20:00:00Z","data":{"package":"p"}}`,
	})
	accepted, err := c.Publish(t.Context(), client.NewEvent{
		ID: "1", Type: "package.added", Source: "me", Scope: map[string]string{"feed": "f"},
		Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), Data: map[string]string{"package": "p"},
	})
	require.NoError(t, err)
	require.Equal(t, "event/"+accepted.ID, accepted.Run.WorkflowID)
	require.Contains(t, accepted.Run.URL, "/namespaces/carillon/workflows/")
}

func TestAnErrorHasWhatTheAnswerSays(t *testing.T) {
	t.Parallel()
	c := answering(t, exchange{
		method: "POST", target: "/v1/events", status: 503, golden: "publish_unknown_named",
		body: `{"type":"ping","source":"","data":null}`, answer: map[string]string{"Retry-After": "5"},
	})
	_, err := c.Publish(t.Context(), client.NewEvent{Type: "ping"})
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, carillon.CodeUnavailable, client.CodeOf(err))
	require.Equal(t, 503, e.Status)
	require.Equal(t, 5*time.Second, e.RetryAfter)
	require.Contains(t, e.Detail, "post it again")
	require.Equal(t, "req_ULID", e.RequestID)
}

func TestAnAnswerOfSomebodyElseIsAnErrorWithoutACode(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "bad gateway", http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	_, err := client.New(server.URL, "k").EventTypes(t.Context())
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 502, e.Status)
	require.Empty(t, e.Code)
	require.Contains(t, err.Error(), "bad gateway")
}

func TestAnErrorOfTheNetworkDoesNotRepeatTheAddress(t *testing.T) {
	t.Parallel()
	_, err := client.New("http://user:password@127.0.0.1:1", "k").EventTypes(t.Context())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "password")
	require.Empty(t, client.CodeOf(err))
}

func TestEvents(t *testing.T) {
	t.Parallel()
	c := answering(t, exchange{
		method: "GET", status: 200, golden: "events",
		target: "/v1/events?cursor=abc&limit=2&scope=feed%3Ax&since=2026-11-21T00%3A00%3A00Z&type=package.added",
	})
	page, err := c.Events(t.Context(), client.EventFilter{
		Type: "package.added", Scope: map[string]string{"feed": "x"}, Limit: 2, Cursor: "abc",
		Since: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC),
	})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.Equal(t, "internal-utils", page.Items[0].Scope["feed"])

	event, err := answering(t, exchange{method: "GET", target: "/v1/events/evt_1", status: 200, golden: "event"}).Event(t.Context(), "evt_1")
	require.NoError(t, err)
	require.JSONEq(t, `{"package":"MyCorp.CoolUtils","version":"3.2.0"}`, string(event.Data))
	require.Len(t, event.Deliveries, 2)
	require.Equal(t, carillon.Retrying, event.Deliveries[1].State)
	require.Len(t, event.ConditionErrors, 1)
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	page, err := answering(t, exchange{
		method: "GET", target: "/v1/deliveries?event=evt_1&state=retrying%2Cfailed", status: 200, golden: "deliveries",
	}).Deliveries(t.Context(), client.DeliveryFilter{Event: "evt_1", States: []carillon.DeliveryState{carillon.Retrying, carillon.Failed}})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)

	path := "/v1/events/evt_1/deliveries/sub_1"
	d, err := answering(t, exchange{method: "GET", target: path, status: 200, golden: "delivery"}).Delivery(t.Context(), "evt_1", "sub_1")
	require.NoError(t, err)
	require.Len(t, d.Attempts, 1)
	require.Equal(t, carillon.Duration(30*time.Second), d.Attempts[0].RetryAfter)
	require.Equal(t, 503, d.Attempts[0].Response.Status)

	_, err = answering(t, exchange{method: "POST", target: path + "/retry-now", status: 202, golden: "delivery"}).RetryNow(t.Context(), "evt_1", "sub_1")
	require.NoError(t, err)
	_, err = answering(t, exchange{method: "POST", target: path + "/cancel", status: 202, golden: "delivery"}).CancelDelivery(t.Context(), "evt_1", "sub_1")
	require.NoError(t, err)
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	sub, err := answering(t, exchange{
		method: "POST", target: "/v1/subscriptions", status: 201, golden: "subscription", answer: map[string]string{"ETag": `"1"`},
		body: `{"name":"n","event_types":["*"],"channel":"webhook","endpoint":{"url":"https://a.example","timeout":"5s"},
			"retry":{"schedule":["1s"],"disable":"never"}}`,
	}).CreateSubscription(t.Context(), client.Subscription{
		Name: "n", EventTypes: []string{"*"}, Channel: "webhook",
		Endpoint: client.Webhook{URL: "https://a.example", Timeout: carillon.Duration(5 * time.Second)},
		Retry:    &carillon.Retry{Schedule: []carillon.Duration{carillon.Duration(time.Second)}, Disable: carillon.DisableNever},
	})
	require.NoError(t, err)
	require.Equal(t, `"1"`, sub.ETag)
	require.Equal(t, "SECRET", sub.Secret())
	require.Equal(t, carillon.DefaultRetry(), *sub.Retry)

	// What was answered can be sent back as it is.
	_, err = answering(t, exchange{
		method: "PUT", target: "/v1/subscriptions/sub_ULID", status: 200, golden: "subscription", header: map[string]string{"If-Match": `"1"`},
		body: `{"id":"sub_ULID","name":"CoolUtils watchers","event_types":["package.*","sca.vulnerability_detected"],
			"scope":{"feed":["internal-utils"]},"condition":"pkg.name.startsWith('MyCorp.')","channel":"webhook",
			"endpoint":` + string(sub.Endpoint.(json.RawMessage)) + `,"format":"standard","profile":"carillon",
			"retry":{"schedule":["1m","5m","30m","3h","12h","24h","48h"],"disable":"exhausted"},"state":"enabled","health":{"state":"ok","failures":0},
			"created_at":"2026-11-21T20:00:00Z","updated_at":"2026-11-21T20:00:00Z"}`,
	}).ReplaceSubscription(t.Context(), sub)
	require.NoError(t, err)

	_, err = answering(t, exchange{
		method: "PATCH", target: "/v1/subscriptions/sub_1", status: 200, golden: "subscription", body: `{"condition":null}`,
	}).ChangeSubscription(t.Context(), "sub_1", "", map[string]any{"condition": nil})
	require.NoError(t, err)

	page, err := answering(t, exchange{method: "GET", target: "/v1/subscriptions?limit=3", status: 200, golden: "subscriptions"}).Subscriptions(t.Context(), 3, "")
	require.NoError(t, err)
	require.Len(t, page.Items, 1)

	got, err := answering(t, exchange{method: "GET", target: "/v1/subscriptions/a%2Fb", status: 200, golden: "subscription"}).Subscription(t.Context(), "a/b")
	require.NoError(t, err)
	require.Equal(t, carillon.Enabled, got.State)

	require.NoError(t, answering(t, exchange{
		method: "DELETE", target: "/v1/subscriptions/sub_1", status: 204, header: map[string]string{"If-Match": `"2"`},
	}).DeleteSubscription(t.Context(), "sub_1", `"2"`))
}

func TestTests(t *testing.T) {
	t.Parallel()
	tried, err := answering(t, exchange{method: "POST", target: "/v1/subscriptions/sub_1/test", status: 200, golden: "test"}).TestSubscription(t.Context(), "sub_1")
	require.NoError(t, err)
	require.Equal(t, "ping", tried.Event.Type)
	require.Equal(t, carillon.OutcomeRetry, tried.Attempt.Outcome)

	_, err = answering(t, exchange{
		method: "POST", target: "/v1/subscriptions/test", status: 200, golden: "test",
		body: `{"name":"n","event_types":["*"],"channel":"webhook","endpoint":{"url":"https://a.example"}}`,
	}).Test(t.Context(), client.Subscription{
		Name: "n", EventTypes: []string{"*"}, Channel: "webhook", Endpoint: client.Webhook{URL: "https://a.example"},
	})
	require.NoError(t, err)
}

func TestSources(t *testing.T) {
	t.Parallel()
	src, err := answering(t, exchange{
		method: "POST", target: "/v1/sources", status: 201, golden: "source", answer: map[string]string{"ETag": `"1"`},
		body: `{"name":"registry.example.com","kind":"distribution","scope":{"feed":"containers"}}`,
	}).CreateSource(t.Context(), client.Source{Name: "registry.example.com", Kind: "distribution", Scope: map[string]string{"feed": "containers"}})
	require.NoError(t, err)

	_, err = answering(t, exchange{
		method: "PUT", target: "/v1/sources/registry.example.com", status: 200, golden: "source", header: map[string]string{"If-Match": `"1"`},
		body: string(read(t, "source")),
	}).ReplaceSource(t.Context(), src.Name, src)
	require.NoError(t, err)

	all, err := answering(t, exchange{method: "GET", target: "/v1/sources", status: 200, golden: "sources"}).Sources(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	_, err = answering(t, exchange{method: "GET", target: "/v1/sources/x", status: 200, golden: "source"}).Source(t.Context(), "x")
	require.NoError(t, err)
	guarded, err := answering(t, exchange{method: "GET", target: "/v1/sources/r", status: 200, golden: "source_guarded"}).Source(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, &client.SourceAuthentication{Scheme: "token", Header: "X-Token", Secret: "SECRET"}, guarded.Authentication)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", guarded.Authentication, *guarded.Authentication, *guarded.Authentication), "SECRET")

	require.NoError(t, answering(t, exchange{method: "DELETE", target: "/v1/sources/x", status: 204}).DeleteSource(t.Context(), "x", ""))

	events, err := answering(t, exchange{
		method: "POST", target: "/v1/sources/x/events", status: 202, golden: "upstream", body: `{"events":[]}`,
	}).PublishUpstream(t.Context(), "x", json.RawMessage(`{"events":[]}`))
	require.NoError(t, err)
	require.Len(t, events, 1)
}

func TestEventTypes(t *testing.T) {
	t.Parallel()
	all, err := answering(t, exchange{method: "GET", target: "/v1/event-types", status: 200, golden: "event_types"}).EventTypes(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, all)
	one, err := answering(t, exchange{method: "GET", target: "/v1/event-types/ping", status: 200, golden: "event_type"}).EventType(t.Context(), "ping")
	require.NoError(t, err)
	require.Equal(t, "ping", one.Name)
	require.Equal(t, "test", one.Products["codescoring"])
	require.NotEmpty(t, one.Schema)
	require.Equal(t, "ping", one.Example.Type)
}

func TestAnotherHTTPClient(t *testing.T) {
	t.Parallel()
	c := client.New("http://carillon.example", "k", client.WithHTTPClient(&http.Client{Transport: roundTrip(
		func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Request: req, Body: io.NopCloser(strings.NewReader(`{"items":[]}`))}, nil
		})}))
	_, err := c.Sources(t.Context())
	require.NoError(t, err)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestVerify(t *testing.T) {
	t.Parallel()
	secret, other := signature.NewSecret(), signature.NewSecret()
	signing, err := signature.ParseKey(secret)
	require.NoError(t, err)
	at := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	payload := []byte(`{"type":"ping"}`)
	header := http.Header{}
	header.Set("webhook-id", "evt_1")
	header.Set("webhook-timestamp", "1795291200")
	header.Set("webhook-signature", signature.Sign([]signature.Key{signing}, "evt_1", at, payload))

	require.NoError(t, client.Verify([]string{secret}, header, payload, client.At(at)))
	require.NoError(t, client.Verify([]string{other, secret}, header, payload, client.At(at.Add(4*time.Minute))))
	require.NoError(t, client.Verify([]string{secret}, header, payload, client.At(at.Add(time.Hour)), client.Tolerance(2*time.Hour)))
	require.ErrorIs(t, client.Verify([]string{secret}, header, payload, client.At(at.Add(6*time.Minute))), client.ErrTimestamp)
	require.ErrorIs(t, client.Verify([]string{secret}, header, payload), client.ErrTimestamp, "the clock is the receiver's by default")
	require.ErrorIs(t, client.Verify([]string{other}, header, payload, client.At(at)), client.ErrSignature)
	require.ErrorIs(t, client.Verify([]string{secret}, header, []byte(`{"type":"pinG"}`), client.At(at)), client.ErrSignature)
	require.ErrorIs(t, client.Verify([]string{secret}, http.Header{}, payload, client.At(at)), client.ErrHeaders)

	err = client.Verify([]string{secret, "not-a-secret"}, header, payload, client.At(at))
	require.ErrorContains(t, err, "secret 2")
	require.NotContains(t, err.Error(), "not-a-secret")
}

func TestProfilesAndExpandedDeliveries(t *testing.T) {
	t.Parallel()
	profiles, err := answering(t, exchange{method: "GET", target: "/v1/profiles", status: 200}).Profiles(t.Context())
	require.ErrorContains(t, err, "the answer is not Carillon's")
	require.Empty(t, profiles)
	_, err = answering(t, exchange{
		method: "GET", target: "/v1/deliveries?expand=attempts%2Cpayload&subscription=sub_1", status: 200, golden: "deliveries",
	}).Deliveries(t.Context(), client.DeliveryFilter{Subscription: "sub_1", Expand: []string{"attempts", "payload"}})
	require.NoError(t, err)
	_, err = answering(t, exchange{
		method: "POST", target: "/v1/events/evt_1/deliveries/sub_1/redeliver", status: 202, golden: "publish",
		body: `{"number":2,"render":"as_sent"}`,
	}).RedeliverAsSent(t.Context(), "evt_1", "sub_1", 2)
	require.NoError(t, err)
}
