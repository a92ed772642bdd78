package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/receiver"
)

func startReceiver(t testing.TB, r *receiver.Receiver) string {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return server.URL
}

const registry = `{"name":"registry.example.com","kind":"distribution","scope":{"feed":"containers"}}`

func TestASourcesLife(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp := b.do(t, call{method: http.MethodPost, path: "/v1/sources", body: registry})
	require.Equal(t, http.StatusCreated, resp.status)
	require.Equal(t, `"1"`, resp.header.Get("ETag"))
	path := resp.header.Get("Location")
	require.Equal(t, "/v1/sources/registry.example.com", path)
	require.Equal(t, carillon.CodeExists, b.problem(t, http.StatusConflict, call{method: http.MethodPost, path: "/v1/sources", body: registry}).Code)

	body := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path})
	golden(t, "source", body)
	golden(t, "sources", b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/sources"}))
	b.ok(t, http.StatusOK, call{method: http.MethodPut, path: path, body: string(body), header: map[string]string{"If-Match": `"1"`}})
	b.ok(t, http.StatusPreconditionFailed, call{method: http.MethodPatch, path: path, body: `{"scope":null}`, header: map[string]string{"If-Match": `"1"`}})
	view := decode[sourceView](t, b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: path, body: `{"scope":{"feed":null,"project":"p"},"name":"other"}`}))
	require.Equal(t, map[string]string{"project": "p"}, view.Scope)

	b.ok(t, http.StatusNotFound, call{method: http.MethodGet, path: path})
	b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: "/v1/sources/other"})
	b.ok(t, http.StatusNotFound, call{method: http.MethodDelete, path: "/v1/sources/other"})
}

func TestASourceIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/sources", body: registry})
	for _, test := range []struct {
		name   string
		method string
		body   string
		at     []string
	}{
		{"nothing of what is required", http.MethodPost, `{}`, []string{"/name", "/kind"}},
		{"a name that is no part of a path", http.MethodPost, `{"name":"a/b","kind":"distribution"}`, []string{"/name"}},
		{"an unknown kind", http.MethodPost, `{"name":"a","kind":"attic"}`, []string{"/kind"}},
		{"unknown fields", http.MethodPost, `{"name":"a","kind":"distribution","secret":"x"}`, []string{"/secret"}},
		{"another kind", http.MethodPatch, `{"kind":"attic"}`, []string{"/kind"}},
		{"another id", http.MethodPatch, `{"id":"src_other"}`, []string{"/id"}},
	} {
		path := "/v1/sources"
		if test.method == http.MethodPatch {
			path += "/registry.example.com"
		}
		p := b.problem(t, http.StatusUnprocessableEntity, call{method: test.method, path: path, body: test.body})
		var at []string
		for _, e := range p.Errors {
			at = append(at, e.Pointer)
		}
		require.Equal(t, test.at, at, test.name)
	}
}

// pushed is a notification that a registry sends for the push of a tag.
func pushed(id, tag, digest string) string {
	return fmt.Sprintf(`{"events":[{"id":%q,"timestamp":"2026-11-21T20:00:00Z","action":"push","target":{`+
		`"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"repository":"acme/hello",`+
		`"url":"http://registry.example.com/v2/acme/hello/manifests/x","tag":%q},`+
		`"request":{"id":"r","addr":"10.0.0.1:1","host":"registry.example.com","method":"PUT","useragent":"skopeo"},`+
		`"actor":{"name":"maartenba"},"source":{"addr":"a:5000","instanceID":"i"}}]}`, id, digest, tag)
}

const upstreamType = "application/vnd.docker.distribution.events.v2+json"

func TestARegistryPublishesInItsOwnFormat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.sources["registry.example.com"] = carillon.Source{ // the events' ids are made of its id
		ID: "src_1", Name: "registry.example.com", Kind: "distribution", Scope: map[string]string{"feed": "containers"}, Version: 1,
	}
	post := func(status int, body string) []byte {
		return b.ok(t, status, call{
			method: http.MethodPost, path: "/v1/sources/registry.example.com/events", body: body,
			header: map[string]string{"Content-Type": upstreamType},
		})
	}
	digest := "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"
	first := post(http.StatusAccepted, pushed("upstream-1", "v1", digest))
	require.Len(t, decode[upstreamView](t, first).Events, 1)
	golden(t, "upstream", first)
	require.Len(t, b.publisher.published, 1)
	event := b.publisher.published[0]
	require.Equal(t, "package.added", event.Type)
	require.Equal(t, "registry.example.com", event.Source)
	require.Equal(t, "containers", event.Scope["feed"])
	require.NoError(t, b.deps.Catalog.CheckData(event))

	require.Empty(t, decode[upstreamView](t, post(http.StatusAccepted, `{"events":[]}`)).Events)
	post(http.StatusUnprocessableEntity, `{"events":`)
	post(http.StatusUnprocessableEntity, `{"events":[{"id":"a\u0000"}]}`)

	b.publisher.fail = carillon.Errorf(carillon.CodeUnavailable, "Temporal does not answer")
	post(http.StatusServiceUnavailable, pushed("upstream-2", "v2", digest))
}

func TestANotificationToldInOtherWordsDoesNotStopTheRegistry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/sources", body: registry})
	post := func() upstreamView {
		return decode[upstreamView](t, b.ok(t, http.StatusAccepted, call{
			method: http.MethodPost, path: "/v1/sources/registry.example.com/events", body: `{"what":"is this?"}`,
		}))
	}
	first := post()
	require.Len(t, first.Events, 1)
	require.Equal(t, "source.unknown", b.publisher.published[0].Type)
	b.publisher.fingerprints[first.Events[0].ID] = "of other content"
	require.Empty(t, post().Events)
	require.Len(t, b.publisher.published, 1)
	require.Contains(t, b.log.String(), "published before with other content")
}

func TestASourceOfAKindThatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.sources["old"] = carillon.Source{ID: "src_1", Name: "old", Kind: "attic", Version: 1}
	p := b.problem(t, http.StatusConflict, call{method: http.MethodPost, path: "/v1/sources/old/events", body: `{}`})
	require.Contains(t, p.Detail, "attic")
	// It can be read and changed all the same.
	view := decode[sourceView](t, b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: "/v1/sources/old", body: `{"scope":{"feed":"x"}}`}))
	require.Equal(t, json.RawMessage(`{"feed":"x"}`), json.RawMessage(must(json.Marshal(view.Scope))))
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

func TestTheSourceOfCarillonsOwnEventsIsNobodyElses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.problem(t, http.StatusUnprocessableEntity, call{
		method: http.MethodPost, path: "/v1/events", body: `{"type":"ping","source":"carillon","id":"x","data":{}}`,
	})
	require.Equal(t, "/source", p.Errors[0].Pointer)
	p = b.problem(t, http.StatusUnprocessableEntity, call{
		method: http.MethodPost, path: "/v1/sources", body: `{"name":"carillon","kind":"distribution"}`,
	})
	require.Equal(t, "/name", p.Errors[0].Pointer)
	require.Empty(t, b.publisher.published)
}

func TestHeadIsAnsweredWhereGetIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ok(t, http.StatusOK, call{method: http.MethodHead, path: "/livez"})
}
