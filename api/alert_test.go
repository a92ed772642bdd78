package api

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/store"
)

// stored is a bundle whose server works with a database.
func stored(t *testing.T, url string) (*bundle, *store.Store) {
	t.Helper()
	ring, err := seal.NewRing(seal.NewKey())
	require.NoError(t, err)
	s, err := store.Open(t.Context(), url, ring)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	b := setup(t)
	b.deps.Store = s
	return b, s
}

func alert(owner string, n int) carillon.Alert {
	return carillon.Alert{
		Owner: owner, EventID: "evt_" + strconv.Itoa(n), SubscriptionID: "sub_1", EventType: "package.added", Level: "neutral",
		Title: "title " + strconv.Itoa(n), Text: "one\ntwo", Link: "https://registry.example.com/" + strconv.Itoa(n),
		At: now.Add(time.Duration(n) * time.Second),
	}
}

func TestAlertsAreListedCountedMarkedAndDeleted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b, s := stored(t, url)
		for n := range 5 {
			require.NoError(t, s.AddAlert(t.Context(), alert("", n)))
			require.NoError(t, s.AddAlert(t.Context(), alert("", n)), "again")
		}
		require.NoError(t, s.AddAlert(t.Context(), alert("anna", 1)))
		list := func(query string) page[alertView] {
			return decode[page[alertView]](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/alerts" + query}))
		}
		first := list("?limit=3")
		require.Len(t, first.Items, 3)
		require.Equal(t, "title 4", first.Items[0].Title, "newest first")
		require.Equal(t, "evt_4", first.Items[0].Event)
		require.Equal(t, "one\ntwo", first.Items[0].Text)
		rest := list("?limit=3&cursor=" + first.NextCursor)
		require.Len(t, rest.Items, 2)
		require.Empty(t, rest.NextCursor)
		require.Len(t, list("?owner=anna").Items, 1)
		require.Empty(t, list("?owner=nobody").Items)

		post := func(path, body string) int {
			return decode[changedView](t, b.ok(t, http.StatusOK, call{method: http.MethodPost, path: path, body: body})).Changed
		}
		count := func(owner string) alertCountView {
			return decode[alertCountView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/alerts/count" + owner}))
		}
		two := `{"ids":["` + first.Items[0].ID + `","` + first.Items[1].ID + `"]}`
		require.Equal(t, 2, post("/v1/alerts/read", two))
		require.Equal(t, 0, post("/v1/alerts/read", two), "they were read")
		require.Equal(t, alertCountView{Total: 5, Unread: 3}, count(""))
		require.Len(t, list("?unread=true").Items, 3)
		require.NotNil(t, list("").Items[0].ReadAt)
		require.Equal(t, 0, post("/v1/alerts/delete", strings.Replace(two, "{", `{"owner":"anna",`, 1)), "they are not anna's")
		require.Equal(t, 2, post("/v1/alerts/delete", two))
		require.Equal(t, 3, post("/v1/alerts/read", `{"all":true}`))
		require.Equal(t, 3, post("/v1/alerts/delete", `{"all":true}`))
		require.Equal(t, alertCountView{}, count(""))
		require.Equal(t, alertCountView{Total: 1, Unread: 1}, count("?owner=anna"), "another's inbox")

		for body, detail := range map[string]string{
			`{}`:                           `must name the alerts, or be left out with "all": true`,
			`{"ids":["alr_1"],"all":true}`: `must name the alerts, or be left out with "all": true`,
			`{"all":"yes"}`:                "must be true or false",
		} {
			p := b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: "/v1/alerts/delete", body: body})
			require.Contains(t, p.Errors[0].Detail, detail, body)
		}
	})
}

func TestAnInboxKeepsTheNewestOnly(t *testing.T) {
	t.Parallel()
	b, s := stored(t, dbtest.SQLite(t))
	for n := range carillon.MaxAlerts + 3 {
		require.NoError(t, s.AddAlert(t.Context(), alert("", n)))
	}
	count := decode[alertCountView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/alerts/count"}))
	require.Equal(t, carillon.MaxAlerts, count.Total)
	oldest, err := s.Alerts(t.Context(), carillon.AlertFilter{After: now, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "title 3", oldest[0].Title)
}

// stream reads the alerts of a stream into a channel, which is closed when it
// ends.
func stream(ctx context.Context, t *testing.T, url, last string) <-chan alertView {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/alerts/stream", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+key)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // closed by who reads it
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	require.True(t, lines.Scan(), "it says that it is there")
	out := make(chan alertView, 10)
	go func() {
		defer close(out)
		defer func() { _ = resp.Body.Close() }()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var v alertView
				if json.Unmarshal([]byte(data), &v) != nil {
					return
				}
				out <- v
			}
		}
	}()
	return out
}

func TestAlertsAreStreamedAndTheStreamIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	b, s := stored(t, dbtest.SQLite(t))
	b.deps.Now = time.Now
	server := httptest.NewUnstartedServer(nil)
	server.Config = b.HTTP()
	server.Start()
	t.Cleanup(server.Close)
	add := func(n int) {
		a := alert("", n)
		a.At = time.Now()
		require.NoError(t, s.AddAlert(t.Context(), a))
	}
	add(0) // before the stream: not part of it
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	alerts := stream(ctx, t, server.URL, "")
	add(1)
	add(2)
	first, second := <-alerts, <-alerts
	require.Equal(t, "title 1", first.Title)
	require.Equal(t, "title 2", second.Title)
	hangUp()
	add(3)
	again := stream(t.Context(), t, server.URL, first.ID)
	require.Equal(t, "title 2", (<-again).Title, "after the last that it has")
	require.Equal(t, "title 3", (<-again).Title)

	// A stream has no end of its own: a server that stops ends it.
	require.NoError(t, server.Config.Shutdown(t.Context()))
	_, open := <-again
	require.False(t, open)

	p := b.problem(t, http.StatusUnprocessableEntity, call{
		method: http.MethodGet, path: "/v1/alerts/stream", header: map[string]string{"Last-Event-ID": "7"},
	})
	require.Contains(t, p.Detail, "Last-Event-ID must be the id of an alert")
}

func TestAServerOfHealthAloneStopsAsOthersDo(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewHealth(nil, nil, slog.New(slog.DiscardHandler), time.Now).HTTP()
	server.Start()
	require.NoError(t, server.Config.Shutdown(t.Context()))
}
