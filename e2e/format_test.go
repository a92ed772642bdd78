package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/strict"
)

// example is an event, and what a product's page shows of it.
type example struct {
	Name    string          `json:"name"`
	Event   carillon.Event  `json:"event"`
	Body    json.RawMessage `json:"body"`
	Options json.RawMessage `json:"options"`
	Partial bool            `json:"partial"`
}

func examples(t *testing.T, format string) []example {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "formats", "testdata", format+".json"))
	require.NoError(t, err)
	var all []example
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// strictServer takes what a strict receiver of the format that the path names
// takes, and keeps the requests by their paths.
func strictServer(t *testing.T) (url string, got func(path string) (http.Header, []byte)) {
	t.Helper()
	var mu sync.Mutex
	headers, bodies := map[string]http.Header{}, map[string][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		headers[r.URL.Path], bodies[r.URL.Path] = r.Header, body
		mu.Unlock()
		if err := strict.Receivers[strings.Split(r.URL.Path, "/")[1]](r.Header, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func(path string) (http.Header, []byte) {
		mu.Lock()
		defer mu.Unlock()
		return headers[path], bodies[path]
	}
}

func TestTheProductsExamplesArriveAtReceiversThatAreWrittenForThem(t *testing.T) {
	t.Parallel()
	i := start(t)
	server, got := strictServer(t)
	for _, format := range []string{"myget", "proget", "codescoring", "defectdojo"} {
		for n, ex := range examples(t, format) {
			if ex.Partial {
				continue
			}
			path := fmt.Sprintf("/%s/%d", format, n)
			endpoint := client.Webhook{URL: server + path}
			if format == "codescoring" {
				endpoint.Token = strict.Token
			}
			sub, err := i.client.CreateSubscription(t.Context(), client.Subscription{
				Name: format + ": " + ex.Name, EventTypes: []string{ex.Event.Type}, Scope: map[string][]string{"example": {path}},
				Channel: "webhook", Format: format, FormatOptions: ex.Options, Endpoint: endpoint,
			})
			require.NoError(t, err)
			scope := map[string]string{"example": path}
			for key, value := range ex.Event.Scope {
				scope[key] = value
			}
			source := ex.Event.Source
			if source == carillon.OwnSource {
				source = "carillon.example.com" // nobody else may say that it is Carillon
			}
			accepted := i.publish(client.NewEvent{
				Type: ex.Event.Type, Source: source, Actor: ex.Event.Actor, Scope: scope, Subject: ex.Event.Subject,
				Time: ex.Event.Time, Data: ex.Event.Data,
			})
			i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)

			header, body := got(path)
			require.Equal(t, accepted.ID, header.Get("webhook-id"), "every format is signed")
			var want bytes.Buffer
			require.NoError(t, json.Compact(&want, ex.Body))
			if value, err := strict.Decode(ex.Body); err == nil && format == "myget" {
				// The identifier is made from the event's id, which Carillon gave.
				want = *bytes.NewBuffer(bytes.Replace(want.Bytes(), []byte(strict.Member(value, "Identifier")),
					[]byte(header.Get("X-MyGet-EventIdentifier")), 1))
			}
			require.Equal(t, want.String(), string(body), "%s: %s", format, ex.Name)
			if format == "defectdojo" {
				require.Equal(t, i.url(), header.Get("X-DefectDojo-Instance"))
			}
		}
	}
}

func TestWildcardsLeaveOutWhatAFormatDoesNotCarry(t *testing.T) {
	t.Parallel()
	i := start(t)
	everything := func(s *client.Subscription) { s.EventTypes = []string{"*"} }
	plain := i.subscribe("/plain", everything)
	myGet := i.subscribe("/myget", everything, func(s *client.Subscription) { s.Format = "myget" })

	policy := client.NewEvent{Type: "sca.policy_triggered", Source: "codescoring.example.com", Data: map[string]any{}}
	accepted := i.publish(policy)
	i.awaitDelivery(accepted.ID, plain.ID, carillon.Succeeded)
	_, err := i.client.Delivery(t.Context(), accepted.ID, myGet.ID)
	require.Equal(t, carillon.CodeNotFound, client.CodeOf(err))
	why, err := i.client.Evaluate(t.Context(), client.Question{EventID: accepted.ID, Subscription: myGet.ID})
	require.NoError(t, err)
	require.False(t, why.Matched)
	require.EqualValues(t, "not_carried", why.Reason.Result)

	i.awaitDelivery(i.publish(added("1")).ID, myGet.ID, carillon.Succeeded)
	require.Len(t, i.hooks.Requests("/myget"), 1)
}

func TestCloudEventsAreReadByTheirSDKs(t *testing.T) {
	t.Parallel()
	i := start(t)
	server, got := strictServer(t)
	for _, mode := range []string{"structured", "binary"} {
		path := "/cloudevents/" + mode
		sub, err := i.client.CreateSubscription(t.Context(), client.Subscription{
			Name: mode, EventTypes: []string{"package.*"}, Channel: "webhook", Format: "cloudevents",
			FormatOptions: json.RawMessage(`{"mode":"` + mode + `"}`), Endpoint: client.Webhook{URL: server + path},
		})
		require.NoError(t, err)
		event := added(mode)
		event.Actor = "Zoë \"Z\" 100%"
		accepted := i.publish(event)
		i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded) // the SDK of Go took it
		header, body := got(path)

		node := os.Getenv("CARILLON_TEST_NODE")
		if node == "" && os.Getenv("CARILLON_TEST_REQUIRE") != "all" {
			continue // make test lists it as left out
		}
		headers := map[string]string{}
		for name := range header {
			headers[strings.ToLower(name)] = header.Get(name)
		}
		input, err := json.Marshal(map[string]any{"headers": headers, "body": string(body)})
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), node, filepath.Join("verify", "cloudevent.mjs"))
		cmd.Stdin = bytes.NewReader(input)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		var read map[string]any
		require.NoError(t, json.Unmarshal(out, &read), "%s", out)
		require.Equal(t, accepted.ID, read["id"])
		require.Equal(t, "dev.carillon.package.added", read["type"])
		require.Equal(t, "registry.example.com", read["source"])
		require.Equal(t, "feed:internal-utils", read["carillonscope"])
		require.Equal(t, map[string]any{"package": "MyCorp.CoolUtils", "version": "3.2.0"}, read["data"])
	}
}
