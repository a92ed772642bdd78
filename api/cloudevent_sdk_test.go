package api

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevent "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// sent is the event that the SDKs send.
func sent(source, id string, at time.Time) carillon.Event {
	return carillon.Event{
		ID: carillon.EventID(source, id), Type: "package.added", Source: source, Actor: "maartenba",
		Scope: map[string]string{"feed": "internal-utils", "project": "web"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
		Time: at, Data: json.RawMessage(`{"package":"MyCorp.CoolUtils","version":"3.2.0"}`),
	}
}

func TestCloudEventsOfTheGoSDK(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 20, 0, 0, 123456000, time.UTC)
	event := func(id string) cloudevent.Event {
		e := cloudevent.New()
		e.SetID(id)
		e.SetSource("https://registry.example.com/go")
		e.SetType("dev.carillon.package.added")
		e.SetSubject("pkg:nuget/MyCorp.CoolUtils@3.2.0")
		e.SetTime(at)
		e.SetExtension("actor", "maartenba")
		e.SetExtension("carillonscope", "feed:internal-utils,project:web")
		e.SetExtension("sequence", 7)
		require.NoError(t, e.SetData(cloudevent.ApplicationJSON, map[string]string{"package": "MyCorp.CoolUtils", "version": "3.2.0"}))
		require.NoError(t, e.Validate())
		return e
	}
	binary, err := cehttp.NewHTTPRequestFromEvent(t.Context(), "/v1/events", event("go-1"))
	require.NoError(t, err)
	structured, err := cehttp.NewHTTPRequestFromEvent(binding.WithForceStructured(t.Context()), "/v1/events", event("go-1"))
	require.NoError(t, err)
	batch, err := cehttp.NewHTTPRequestFromEvents(t.Context(), "/v1/events", []cloudevent.Event{event("go-1"), event("go-2")})
	require.NoError(t, err)

	b := setup(t)
	for _, req := range []*http.Request{binary, structured, batch} {
		body, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		header := map[string]string{}
		for name := range req.Header {
			header[name] = req.Header.Get(name)
		}
		b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: string(body), header: header})
	}
	const source = "https://registry.example.com/go"
	require.Equal(t, []carillon.Event{sent(source, "go-1", at), sent(source, "go-2", at)}, b.publisher.published)
}

// TestCloudEventsOfTheJavaScriptSDK posts what e2e/verify/cloudevents.mjs wrote.
func TestCloudEventsOfTheJavaScriptSDK(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/cloudevents-npm.json")
	require.NoError(t, err)
	var requests map[string]struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	require.NoError(t, json.Unmarshal(text, &requests))
	b := setup(t)
	for _, mode := range []string{"binary", "structured", "batch"} {
		require.Contains(t, requests, mode)
		b.ok(t, http.StatusAccepted, call{
			method: http.MethodPost, path: "/v1/events", body: requests[mode].Body, header: requests[mode].Headers,
		})
	}
	const source = "https://registry.example.com/npm"
	at := time.Date(2026, 11, 21, 20, 0, 0, 123000000, time.UTC)
	require.ElementsMatch(t, []carillon.Event{sent(source, "npm-1", at), sent(source, "npm-2", at)}, b.publisher.published)
}
