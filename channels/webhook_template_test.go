package channels_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

func TestAddressAndHeadersAreWrittenForTheEvent(t *testing.T) {
	t.Parallel()
	var got []*http.Request
	base := server(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r) }), (*httptest.Server).Start)
	sender := webhook(t, loopback)
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"`+base+`/feeds/${scope.feed}/${actor}?p=${data.package}&v=1",
		"headers":{"X-Feed":"feed ${scope.feed}","X-Who":"${actor}","X-Plain":"$${literal}"}}`), nil)
	require.NoError(t, err)
	event := carillon.Event{
		ID: "evt_1", Type: "package.added", Source: "s", Actor: "a b\r\nX-Evil: 1/?#é", Scope: map[string]string{"feed": "f"},
		Data: json.RawMessage(`{"package":"x&y=z"}`),
	}
	a := sender.Attempt(t.Context(), channels.Message{Event: event, Endpoint: kept, Format: "standard", Number: 1})
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Len(t, got, 1)
	require.Equal(t, "/feeds/f/a%20b%0D%0AX-Evil:%201%2F%3F%23%C3%A9?p=x%26y%3Dz&v=1", got[0].RequestURI)
	require.Equal(t, "feed f", got[0].Header.Get("X-Feed"))
	require.Equal(t, "a b X-Evil: 1/?#é", got[0].Header.Get("X-Who"))
	require.Equal(t, "${literal}", got[0].Header.Get("X-Plain"))
	require.Empty(t, got[0].Header.Get("X-Evil"))
}

func TestAnAddressThatAValueWouldLeadElsewhereIsRejected(t *testing.T) {
	t.Parallel()
	base := server(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }), (*httptest.Server).Start)
	sender := webhook(t, loopback)
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"`+base+`/a/${actor}/b"}`), nil)
	require.NoError(t, err)
	require.Equal(t, strings.TrimPrefix(base, "http://"), sender.Host(kept))
	for _, actor := range []string{"..", "", ".", "x/../../y", strings.Repeat("x", 3000)} {
		a := sender.Attempt(t.Context(), channels.Message{
			Event:    carillon.Event{ID: "evt_1", Type: "ping", Source: "s", Actor: actor, Data: json.RawMessage(`{}`)},
			Endpoint: kept, Format: "standard", Number: 1,
		})
		require.Equal(t, carillon.OutcomeReject, a.Outcome, actor)
		require.Contains(t, a.Error, "the url cannot be written")
	}
}

func TestTemplatesOfAnEndpointAreCheckedWhenSaved(t *testing.T) {
	t.Parallel()
	sender := webhook(t, loopback)
	templated, ok := sender.(channels.Templated)
	require.True(t, ok)
	for endpoint, want := range map[string]string{
		`{"url":"https://${actor}.example.com/"}`:                              "/endpoint/url",
		`{"url":"https://h.example.com/${actr}"}`:                              "/endpoint/url",
		`{"url":"https://h.example.com/${marked0Xq7Zt9Lm2Vw4Kd8}"}`:            "/endpoint/url",
		`{"url":"https://h.example.com/${actor"}`:                              "/endpoint/url",
		`{"url":"https://h.example.com/${actor}#x"}`:                           "/endpoint/url",
		`{"url":"https://u:p@h.example.com/${actor}"}`:                         "/endpoint/url",
		`{"url":"https://h.example.com/","headers":{"X-A":"marked ${markd}"}}`: "/endpoint/headers/X-A",
		`{"url":"https://h.example.com/","headers":{"X-A":"pa${marked"}}`:      "/endpoint/headers/X-A",
	} {
		_, _, err := sender.Prepare(json.RawMessage(endpoint), nil)
		found, ok := errors.AsType[*carillon.Error](err)
		require.True(t, ok, endpoint)
		require.Equal(t, want, found.Problems[0].Pointer, endpoint)
		require.NotContains(t, err.Error(), "mark", endpoint)
	}
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"https://h.example.com/${data.package}","headers":{"X-A":"${data.version}"}}`), nil)
	require.NoError(t, err)
	require.NoError(t, templated.CheckTemplates(kept, []string{"package.*"}))
	err = templated.CheckTemplates(kept, []string{"build.finished"})
	found, ok := errors.AsType[*carillon.Error](err)
	require.True(t, ok)
	require.Equal(t, "/endpoint/url", found.Problems[0].Pointer)
	require.Equal(t, 29, found.Problems[0].Column)
	require.Equal(t, "/endpoint/headers/X-A", found.Problems[1].Pointer)
}
