package sources

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/package-url/packageurl-go"
	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	digestC = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	blob        = "application/octet-stream"
)

// bench is an adapter with a fresh memory, fed one request after another.
type bench struct {
	t       *testing.T
	adapter Adapter
	memory  *fakeMemory
	catalog *catalog.Catalog
	source  carillon.Source
	now     time.Time
}

// loadCatalog loads the catalog once for all tests.
var loadCatalog = sync.OnceValues(catalog.Load)

func setup(t *testing.T) *bench {
	t.Helper()
	adapter, ok := Lookup("distribution")
	require.True(t, ok)
	c, err := loadCatalog()
	require.NoError(t, err)
	return &bench{
		t: t, adapter: adapter, memory: newMemory(), catalog: c,
		source: carillon.Source{
			ID: "src_1", Name: "registry", Kind: "distribution", Scope: map[string]string{"feed": "containers"},
		},
		now: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC),
	}
}

// upstream is a request of the source.
func (b *bench) upstream(body string) Upstream {
	b.now = b.now.Add(time.Second)
	return Upstream{
		Body: []byte(body), Source: b.source, ReceivedAt: b.now, Catalog: b.catalog,
		Header: http.Header{"Content-Type": {"application/vnd.docker.distribution.events.v1+json"}},
	}
}

// post returns the events of a request, each of which is as the catalog and
// the publishing of events demand.
func (b *bench) post(body string) []carillon.Event {
	b.t.Helper()
	events, err := b.adapter.Events(b.t.Context(), b.upstream(body), b.memory)
	require.NoError(b.t, err)
	for _, e := range events {
		requirePublishable(b.t, b.catalog, b.source, e)
	}
	return events
}

func requirePublishable(t *testing.T, c *catalog.Catalog, source carillon.Source, e carillon.Event) {
	t.Helper()
	require.NoError(t, c.CheckData(e))
	require.True(t, strings.HasPrefix(e.ID, carillon.EventPrefix))
	require.Equal(t, source.Name, e.Source)
	require.Equal(t, source.Scope, e.Scope)
	require.Equal(t, time.UTC, e.Time.Location())
	require.True(t, e.Time.IsZero() || e.Time.Year() >= 1970 && e.Time.Year() <= 9999)
	require.LessOrEqual(t, len(e.Subject), carillon.MaxSubjectBytes)
	require.LessOrEqual(t, len(e.Actor), carillon.MaxActorBytes)
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	require.LessOrEqual(t, len(raw), carillon.MaxEventBytes)
	var decoded any
	require.NoError(t, json.Unmarshal(raw, &decoded))
	require.NotContains(t, fmt.Sprint(decoded), "\x00", "PostgreSQL's TEXT cannot hold it")
	if e.Subject != "" {
		_, err := packageurl.FromString(e.Subject)
		require.NoError(t, err)
	}
}

// summaries writes events as "type package version", in order.
func summaries(t *testing.T, events []carillon.Event) []string {
	t.Helper()
	var lines []string
	for _, e := range events {
		var data struct{ Package, Version string }
		require.NoError(t, json.Unmarshal(e.Data, &data))
		lines = append(lines, strings.TrimSpace(e.Type+" "+data.Package+" "+data.Version))
	}
	return lines
}

// fixture returns the body of a captured request.
func fixture(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var request struct {
		Body string `json:"body"`
	}
	require.NoError(t, json.Unmarshal(raw, &request))
	return request.Body
}

func fixtures(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/distribution/*.json") // sorted
	require.NoError(t, err)
	require.Len(t, paths, 43)
	return paths
}

func TestWhatARealRegistrySentInOrder(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"03": "package.added acme/hello v1",
		"07": "package.added acme/hello v2",
		"12": "package.added acme/hello latest",
		"18": "package.added other/mirror v1",
		"21": "package.added acme/hello s2",
		"31": "package.added acme/hello multi",
		"33": "package.deleted acme/hello v2",
		"43": "package.added acme/down v1",
	}
	b := setup(t)
	for _, path := range fixtures(t) {
		got := strings.Join(summaries(t, b.post(fixture(t, path))), "\n")
		require.Equal(t, want[filepath.Base(path)[:2]], got, path)
	}
}

func TestWhatARealRegistrySentTwiceGivesTheSameEventsAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var first, second []carillon.Event
	for _, path := range fixtures(t) {
		first = append(first, b.post(fixture(t, path))...)
	}
	for _, path := range fixtures(t) {
		second = append(second, b.post(fixture(t, path))...)
	}
	require.Len(t, first, 8)
	require.Equal(t, first, second)
}

func TestAnEventSaysAllThatTheRegistryTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := `{"events":[{"id":"one","timestamp":"2026-11-21T21:01:59.64962592+01:00","action":"push",
		"target":{"mediaType":"` + ociManifest + `; charset=utf-8","size":345,"length":345,"digest":"` + digestA + `",
			"repository":"acme/Hello","tag":"v1","url":"https://registry.example.com/v2/acme/Hello/manifests/` + digestA + `"},
		"request":{"host":"registry.example.com:5000"},"actor":{"name":"anna"}}]}`
	events := b.post(body)
	require.Len(t, events, 1)
	e := events[0]
	require.Equal(t, "package.added", e.Type)
	require.Equal(t, carillon.EventID(b.source.ID, "one"), e.ID)
	require.Equal(t, "anna", e.Actor)
	require.Equal(t, "pkg:oci/hello@"+digestA+"?repository_url=registry.example.com:5000%2Facme%2FHello&tag=v1", e.Subject)
	require.Equal(t, time.Date(2026, 11, 21, 20, 1, 59, 649625920, time.UTC), e.Time)
	require.JSONEq(t, `{"package":"acme/Hello","version":"v1","package_type":"oci","tag":"v1","digest":"`+digestA+`",
		"media_type":"`+ociManifest+`","size":345,
		"download_url":"https://registry.example.com/v2/acme/Hello/manifests/`+digestA+`"}`, string(e.Data))
}

// told is one notification with only what it must have.
type told struct {
	id, action, mediaType, repository, tag, digest string
	references                                     []descriptor
}

func envelope(t *testing.T, all ...told) string {
	t.Helper()
	events := []notification{}
	for _, n := range all {
		var e notification
		e.ID, e.Action, e.Timestamp, e.Request.Host = n.id, n.action, "2026-11-21T20:00:00Z", "registry.example.com"
		e.Target.MediaType, e.Target.Digest = n.mediaType, n.digest
		e.Target.Repository, e.Target.Tag, e.Target.References = n.repository, n.tag, n.references
		events = append(events, e)
	}
	raw, err := json.Marshal(map[string]any{"events": events})
	require.NoError(t, err)
	return string(raw)
}

func TestStories(t *testing.T) {
	t.Parallel()
	push := func(id, tag, digest string) told {
		return told{id: id, action: "push", mediaType: ociManifest, repository: "acme/hello", tag: tag, digest: digest}
	}
	removeDigest := func(id, digest string) told {
		return told{id: id, action: "delete", repository: "acme/hello", digest: digest}
	}
	removeTag := func(id, tag string) told {
		return told{id: id, action: "delete", repository: "acme/hello", tag: tag}
	}
	tests := []struct {
		name  string
		posts []told
		want  []string
	}{
		{"a known tag with another digest is overwritten", []told{push("1", "v1", digestA), push("2", "v1", digestB)},
			[]string{"package.added acme/hello v1", "package.overwritten acme/hello v1"}},
		{"a known tag with the same digest is nothing", []told{push("1", "v1", digestA), push("2", "v1", digestA)},
			[]string{"package.added acme/hello v1"}},
		{"a tag that goes back to its first digest is overwritten again",
			[]told{push("1", "v1", digestA), push("2", "v1", digestB), push("3", "v1", digestA)},
			[]string{"package.added acme/hello v1", "package.overwritten acme/hello v1", "package.overwritten acme/hello v1"}},
		{"a digest deleted under several tags is deleted under each",
			[]told{push("1", "v1", digestA), push("2", "latest", digestA), push("3", "v2", digestB), removeDigest("4", digestA)},
			[]string{"package.added acme/hello v1", "package.added acme/hello latest", "package.added acme/hello v2",
				"package.deleted acme/hello latest", "package.deleted acme/hello v1"}},
		{"a deletion told by digest and by tag is one", []told{push("1", "v1", digestA), removeDigest("2", digestA), removeTag("3", "v1")},
			[]string{"package.added acme/hello v1", "package.deleted acme/hello v1"}},
		{"a deletion told by tag and by digest is one", []told{push("1", "v1", digestA), removeTag("2", "v1"), removeDigest("3", digestA)},
			[]string{"package.added acme/hello v1", "package.deleted acme/hello v1"}},
		{"a tag pushed after its deletion is added", []told{push("1", "v1", digestA), removeTag("2", "v1"), push("3", "v1", digestB)},
			[]string{"package.added acme/hello v1", "package.deleted acme/hello v1", "package.added acme/hello v1"}},
		{"a digest never seen is deleted as a version of its own, once", []told{removeDigest("1", digestA), removeDigest("2", digestA)},
			[]string{"package.deleted acme/hello " + digestA}},
		{"a tag never seen is deleted, once", []told{removeTag("1", "v1"), removeTag("2", "v1")},
			[]string{"package.deleted acme/hello v1"}},
		{"a digest that no tag has any more goes silently", []told{push("1", "v1", digestA), push("2", "v1", digestB), removeDigest("3", digestA)},
			[]string{"package.added acme/hello v1", "package.overwritten acme/hello v1"}},
		{"a manifest without a tag comes and goes silently", []told{push("1", "", digestA), removeDigest("2", digestA)}, nil},
		{"a child of an index goes silently", []told{
			{id: "1", action: "push", mediaType: ociIndex, repository: "acme/hello", tag: "multi", digest: digestA,
				references: []descriptor{{MediaType: ociManifest, Digest: digestB}}},
			removeDigest("2", digestB),
		}, []string{"package.added acme/hello multi"}},
		{"a layer that only a manifest named goes silently", []told{
			{id: "1", action: "push", mediaType: ociManifest, repository: "acme/hello", tag: "v1", digest: digestA,
				references: []descriptor{{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Digest: digestC}, {Digest: "junk"}}},
			removeDigest("2", digestC),
		}, []string{"package.added acme/hello v1"}},
		{"a mounted blob goes silently", []told{
			{id: "1", action: "mount", mediaType: blob, repository: "acme/hello", digest: digestC}, removeDigest("2", digestC),
		}, nil},
		{"a blob deletion that says so is nothing", []told{
			{id: "1", action: "delete", mediaType: blob, repository: "acme/hello", digest: digestC},
		}, nil},
		{"repositories do not know of each other", []told{
			push("1", "v1", digestA),
			{id: "2", action: "push", mediaType: ociManifest, repository: "other", tag: "v1", digest: digestB},
		}, []string{"package.added acme/hello v1", "package.added other v1"}},
		{"every kind of manifest counts", []told{
			{id: "1", action: "push", mediaType: "application/vnd.docker.distribution.manifest.v2+json", repository: "a", tag: "1", digest: digestA},
			{id: "2", action: "push", mediaType: "application/vnd.docker.distribution.manifest.list.v2+json", repository: "a", tag: "2", digest: digestA},
			{id: "3", action: "push", mediaType: "application/vnd.docker.distribution.manifest.v1+json", repository: "a", tag: "3", digest: digestA},
			{id: "4", action: "push", mediaType: "application/vnd.docker.distribution.manifest.v1+prettyjws", repository: "a", tag: "4", digest: digestA},
			{id: "5", action: "push", mediaType: ociIndex, repository: "a", tag: "5", digest: digestA},
		}, []string{"package.added a 1", "package.added a 2", "package.added a 3", "package.added a 4", "package.added a 5"}},
	}
	for _, test := range tests {
		t.Run(test.name+", request by request", func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var events []carillon.Event
			for _, n := range test.posts {
				events = append(events, b.post(envelope(t, n))...)
			}
			require.Equal(t, test.want, summaries(t, events))
			requireDifferentIDs(t, events)
		})
		t.Run(test.name+", in one envelope", func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			events := b.post(envelope(t, test.posts...))
			require.Equal(t, test.want, summaries(t, events))
			require.Equal(t, events, b.post(envelope(t, test.posts...)), "repeated")
		})
	}
}

func requireDifferentIDs(t *testing.T, events []carillon.Event) {
	t.Helper()
	ids := map[string]bool{}
	for _, e := range events {
		require.False(t, ids[e.ID], "%s twice", e.ID)
		ids[e.ID] = true
	}
}

func TestARepeatAfterOtherNewsIsStillTheSameEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := envelope(t, told{id: "1", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestA})
	second := envelope(t, told{id: "2", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestB})
	removed := envelope(t, told{id: "3", action: "delete", repository: "a", digest: digestB})
	added, overwritten, deleted := b.post(first), b.post(second), b.post(removed)
	require.Equal(t, []string{"package.added a v1"}, summaries(t, added))
	require.Equal(t, []string{"package.overwritten a v1"}, summaries(t, overwritten))
	require.Equal(t, []string{"package.deleted a v1"}, summaries(t, deleted))

	require.Equal(t, added, b.post(first))
	require.Equal(t, overwritten, b.post(second))
	require.Equal(t, deleted, b.post(removed))
}

func TestOverwrittenNamesTheDigestBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.post(envelope(t, told{id: "1", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestA}))
	events := b.post(envelope(t, told{id: "2", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestB}))
	require.JSONEq(t, `{"package":"a","version":"v1","package_type":"oci","tag":"v1","digest":"`+digestB+`",
		"previous_digest":"`+digestA+`","media_type":"`+ociManifest+`"}`, string(events[0].Data))
}

func TestADeletedTagNamesItsDigest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.post(envelope(t, told{id: "1", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestA}))
	events := b.post(envelope(t, told{id: "2", action: "delete", repository: "a", tag: "v1"}))
	require.JSONEq(t, `{"package":"a","version":"v1","package_type":"oci","tag":"v1","digest":"`+digestA+`"}`, string(events[0].Data))
	require.Equal(t, "pkg:oci/a@"+digestA+"?repository_url=registry.example.com%2Fa&tag=v1", events[0].Subject)
}

func TestPullsAreNotEvenRemembered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Empty(t, b.post(envelope(t, told{id: "1", action: "pull", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestA})))
	require.Zero(t, b.memory.calls)
}

func TestANotificationWithoutIDOrTimeIsStillOneEvent(t *testing.T) {
	t.Parallel()
	for _, timestamp := range []string{"", "yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00-02:00"} {
		b := setup(t)
		body := `{"events":[{"action":"push","timestamp":"` + timestamp + `",
			"target":{"mediaType":"` + ociManifest + `","digest":"` + digestA + `","repository":"a","tag":"v1"}}]}`
		first, again := b.post(body), b.post(body)
		require.Equal(t, first, again)
		require.Equal(t, "pkg:oci/a@"+digestA+"?tag=v1", first[0].Subject)
		require.True(t, first[0].Time.IsZero())
	}
}

func TestATroubledMemoryIsAnError(t *testing.T) {
	t.Parallel()
	away := errors.New("database is away")
	for _, n := range []told{
		{id: "1", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestA},
		{id: "1", action: "push", mediaType: ociManifest, repository: "a", digest: digestA},
		{id: "1", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestA,
			references: []descriptor{{MediaType: blob, Digest: digestB}}},
		{id: "1", action: "push", mediaType: blob, repository: "a", digest: digestA},
		{id: "1", action: "delete", repository: "a", tag: "v1"},
		{id: "1", action: "delete", repository: "a", digest: digestA},
	} {
		b := setup(t)
		b.memory.err = away
		events, err := b.adapter.Events(t.Context(), b.upstream(envelope(t, n)), b.memory)
		require.ErrorIs(t, err, away)
		require.Equal(t, carillon.CodeInternal, carillon.CodeOf(err))
		require.Empty(t, events)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"distribution", "cloudevents", "myget", "proget", "codescoring", "defectdojo"}, Kinds())
	_, ok := Lookup("gopher")
	require.False(t, ok)
}
