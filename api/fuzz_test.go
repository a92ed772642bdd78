package api

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/sources"
	"github.com/carillon-dev/carillon/store"
)

// onDatabases returns a server on a real database of each kind that there is.
func onDatabases(f *testing.F) []*bundle {
	f.Helper()
	urls := []string{dbtest.SQLite(f)}
	if databaseURL, ok := dbtest.Postgres(f); ok {
		urls = append(urls, databaseURL)
	}
	ring, err := seal.NewRing(seal.NewKey())
	require.NoError(f, err)
	var servers []*bundle
	for _, databaseURL := range urls {
		s, err := store.Open(f.Context(), databaseURL, ring)
		require.NoError(f, err)
		b := setup(f)
		f.Cleanup(func() {
			b.keys.uses.Wait()
			require.NoError(f, s.Close())
		})
		b.deps.Store, b.keys.store, b.deps.Memory = s, s, s
		servers = append(servers, b)
	}
	return servers
}

// refusals are what a post of events can be answered with beside 202: mistakes
// of whoever posted, and no fault of ours.
var refusals = []int{
	http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
}

// fuzzed posts the request to each server: it is taken or refused, never a
// fault, and what is taken can be written, claimed in the database as its run
// would, and read again.
func fuzzed(t *testing.T, servers []*bundle, c call) {
	t.Helper()
	for _, b := range servers {
		r := b.do(t, c)
		if r.status != http.StatusAccepted {
			require.Contains(t, refusals, r.status, "%s\n%s", r.body, b.log)
			require.Empty(t, b.publisher.published)
		}
		for _, event := range b.publisher.published {
			raw, err := json.Marshal(event)
			require.NoError(t, err)
			_, err = b.deps.Store.(*store.Store).Claim(t.Context(), carillon.Claim{
				Publication: carillon.Publication{Event: event, ReceivedAt: now},
				Run:         carillon.Run{WorkflowID: "event/" + event.ID, RunID: "run"},
			})
			require.NoError(t, err, "%s", raw)
			b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/events/" + event.ID})
		}
		b.publisher.published = nil
		clear(b.publisher.fingerprints)
		require.NotContains(t, b.log.String(), "level=ERROR")
		b.log.text.Reset()
	}
}

// headersOf reads headers as people write them, a line each, and leaves out
// what Go's server lets nobody send.
func headersOf(text string) map[string]string {
	headers := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) && !strings.EqualFold(name, "Authorization") {
			headers[name] = strings.TrimSpace(value)
		}
	}
	return headers
}

// FuzzPublish posts anything as an event in our own form, one or a batch.
func FuzzPublish(f *testing.F) {
	for _, seed := range []string{
		added(), `{"type":"ping","source":"me","data":{}}`, added("3.2.0", `\u0000`), added("package.added", "sca.vulnerability_detected"),
		`{"type":"ping","source":"me","data":{"n":1e400}}`, `{"type":"ping","source":"","data":[]}`, `[]`, `{"scope":{"":1}}`, "\xff", ``,
		added("2026-11-21T21:00:00.1234567+01:00", "0000-01-01T00:00:00+01:00"), `{"events":[` + added() + `]}`,
		`{"type":"ping","source":"me","scope":{"feed":"\ud800"},"data":{"\ud800":1,"\ufffd":2}}`,
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	servers := onDatabases(f)
	f.Fuzz(func(t *testing.T, body string, batch bool) {
		path := "/v1/events"
		if batch {
			path += "/batch"
		}
		fuzzed(t, servers, call{method: http.MethodPost, path: path, body: body})
	})
}

// FuzzCloudEvent posts anything as a CloudEvent: structured, in a batch, or
// binary, with any headers.
func FuzzCloudEvent(f *testing.F) {
	const event = `{"specversion":"1.0","id":"1","source":"urn:a","type":"dev.carillon.ping","data":{}}`
	const headers = "Content-Type: application/json\nCe-Specversion: 1.0\nCe-Id: 1\nCe-Source: urn:a\nCe-Type: ping"
	for _, seed := range [][2]string{
		{"Content-Type: " + sources.CloudEventType, event},
		{"Content-Type: " + sources.CloudEventsType, "[" + event + "," + event + "]"},
		{"Content-Type: " + sources.CloudEventsType, "[]"},
		{headers, "{}"},
		{headers + "\nCe-Subject: %E2%82%AC%00\nCe-Carillonscope: feed:a,project:b,:", `{"n":1e999999}`},
		{headers + "\nCe-Time: \"2026-11-21T21:00:00Z\"\nCe-Datacontenttype: text/xml", "[1]"},
		{headers + "\nCe-Data: x\nCe-Data_base64: eA==\nCe-" + strings.Repeat("a", 65) + ": 1", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	servers := onDatabases(f)
	f.Fuzz(func(t *testing.T, headers, body string) {
		fuzzed(t, servers, call{method: http.MethodPost, path: "/v1/events", body: body, header: headersOf(headers)})
	})
}

// FuzzUpstream posts anything to a source of each kind.
func FuzzUpstream(f *testing.F) {
	for i, kind := range sources.Kinds() {
		paths, err := filepath.Glob("../sources/testdata/" + kind + "/*.json")
		require.NoError(f, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(f, err)
			var recorded struct {
				Body string `json:"body"`
			}
			if json.Unmarshal(text, &recorded) == nil && recorded.Body != "" {
				text = []byte(recorded.Body)
			}
			f.Add(i, "X-DefectDojo-Event: "+strings.TrimSuffix(filepath.Base(path), ".json"), string(text))
		}
		for _, body := range []string{`{}`, `[]`, `null`, "\ufeff{}", `{"a":"\ud800\u0000"}`, `{"event":1e999999}`, ``} {
			f.Add(i, "Content-Type: "+sources.CloudEventsType, body)
		}
	}
	servers := onDatabases(f)
	for _, b := range servers {
		for _, kind := range sources.Kinds() {
			b.ok(f, http.StatusCreated, call{
				method: http.MethodPost, path: "/v1/sources", body: `{"name":"` + kind + `","kind":"` + kind + `","scope":{"feed":"a"}}`,
			})
		}
	}
	kinds := uint(len(sources.Kinds()))
	f.Fuzz(func(t *testing.T, kind int, headers, body string) {
		name := sources.Kinds()[uint(kind)%kinds]
		fuzzed(t, servers, call{method: http.MethodPost, path: "/v1/sources/" + name + "/events", body: body, header: headersOf(headers)})
	})
}

// FuzzAuthorization sends anything as a key: nothing but the key lets anybody
// in.
func FuzzAuthorization(f *testing.F) {
	servers := onDatabases(f)
	made := decode[createdKeyView](f, servers[0].ok(f, http.StatusCreated, call{
		method: http.MethodPost, path: "/v1/keys", body: `{"name":"deploy","role":"admin"}`,
	}))
	for _, header := range []string{
		"Bearer " + key, "bearer  " + key, "Basic " + key, key, "", "Bearer", "Bearer \xff", "Bearer " + made.Key[:len(made.Key)-1],
		"Bearer " + made.ID, "Bearer " + made.ID + "_", "Bearer key_" + strings.Repeat("0", 26) + "_" + strings.Repeat("A", 26),
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if !httpguts.ValidHeaderFieldValue(header) {
			return
		}
		given := strings.Fields(header)
		for _, b := range servers {
			r := b.do(t, call{method: http.MethodGet, path: "/v1/keys", header: map[string]string{"Authorization": header}})
			if r.status == http.StatusOK {
				require.True(t, len(given) == 2 && slices.Contains([]string{key, made.Key}, given[1]), "%q", header)
				continue
			}
			require.Equal(t, http.StatusUnauthorized, r.status, "%s", b.log)
			require.NotContains(t, b.log.String(), "level=ERROR")
			b.log.text.Reset()
		}
	})
}
