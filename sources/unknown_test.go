package sources

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

func TestWhatIsNotUnderstoodIsKeptAsOneUnknown(t *testing.T) {
	t.Parallel()
	target := `"target":{"mediaType":"` + ociManifest + `","digest":"` + digestA + `","repository":"a","tag":"v1"}`
	tests := []struct {
		name, body, reason string
	}{
		{"a list", `[1,2]`, `the body has no list "events"`},
		{"a text", `"hello"`, `the body has no list "events"`},
		{"null", `null`, `the body has no list "events"`},
		{"an object of another kind", `{"zen":"Keep it logically awesome."}`, `the body has no list "events"`},
		{"events that are no list", `{"events":{}}`, `the body has no list "events"`},
		{"events that are null", `{"events":null}`, `the body has no list "events"`},
		{"a notification that is a number", `{"events":[1]}`, "the notification has other fields than a registry's"},
		{"a field of another type", `{"events":[{"id":"1","action":"push","target":"a"}]}`, "the notification has other fields than a registry's"},
		{"an empty notification", `{"events":[{}]}`, `the action "" is not known`},
		{"an unknown action", `{"events":[{"id":"1","action":"quarantine",` + target + `}]}`, `the action "quarantine" is not known`},
		{"a push without a target", `{"events":[{"id":"1","action":"push"}]}`, "the target's repository is missing or no name of one"},
		{"a repository with a path in it", `{"events":[{"id":"1","action":"delete","target":{"repository":"../etc","tag":"v1"}}]}`,
			"the target's repository is missing or no name of one"},
		{"a repository with a NUL", `{"events":[{"id":"1","action":"delete","target":{"repository":"a\u0000b","tag":"v1"}}]}`,
			"the target's repository is missing or no name of one"},
		{"a tag with a blank", `{"events":[{"id":"1","action":"delete","target":{"repository":"a","tag":"v 1"}}]}`, "the target's tag is none"},
		{"a digest that is none", `{"events":[{"id":"1","action":"delete","target":{"repository":"a","digest":"abc"}}]}`, "the target's digest is none"},
		{"a repository deleted as a whole", `{"events":[{"id":"1","action":"delete","target":{"repository":"a"}}]}`,
			"neither a tag nor a digest is deleted"},
		{"a push without a digest", `{"events":[{"id":"1","action":"push","target":{"repository":"a","tag":"v1","mediaType":"` + ociManifest + `"}}]}`,
			"the target's digest is missing"},
		{"a push without a media type", `{"events":[{"id":"1","action":"push","target":{"repository":"a","tag":"v1","digest":"` + digestA + `"}}]}`,
			"the target's media type is missing"},
		{"a negative size", `{"events":[{"id":"1","action":"push","target":{"repository":"a","size":-1,"digest":"` + digestA + `","mediaType":"` + blob + `"}}]}`,
			"the target's size is negative"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			events := b.post(test.body)
			require.Len(t, events, 1)
			e := events[0]
			require.Equal(t, "source.unknown", e.Type)
			require.Empty(t, e.Subject)
			require.Zero(t, b.memory.calls)
			var data unknownData
			require.NoError(t, json.Unmarshal(e.Data, &data))
			require.Equal(t, "distribution", data.Kind)
			require.Equal(t, test.reason, data.Reason)
			require.Equal(t, "application/vnd.docker.distribution.events.v1+json", data.ContentType)
			require.NotEmpty(t, data.Body)
			require.False(t, data.Truncated)

			require.Equal(t, events, b.post(test.body), "repeated")
			require.NotEqual(t, e.ID, b.post(`{"other":true}`)[0].ID)
		})
	}
}

func TestAnUnknownNotificationDoesNotHideItsNeighbours(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := b.post(envelope(t,
		told{id: "1", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestA},
		told{id: "2", action: "bless", repository: "a", tag: "v1"},
		told{id: "3", action: "push", mediaType: ociManifest, repository: "a", tag: "v2", digest: digestA},
		told{id: "4", action: "curse", repository: "a", tag: "v1"},
	))
	require.Equal(t, []string{"package.added a v1", "package.added a v2", "source.unknown"}, summaries(t, events))
	var data unknownData
	require.NoError(t, json.Unmarshal(events[2].Data, &data))
	require.Equal(t, "2", data.UpstreamID)
	require.Equal(t, `the action "bless" is not known (the first of 2 notifications that are not understood)`, data.Reason)
}

func TestALongUnknownBodyIsKeptInPart(t *testing.T) {
	t.Parallel()
	events := setup(t).post(`{"x":"` + strings.Repeat("é", 100_000) + `"}`)
	var data unknownData
	require.NoError(t, json.Unmarshal(events[0].Data, &data))
	require.True(t, data.Truncated)
	require.LessOrEqual(t, len(data.Body), maxUnknownBody)
}

func TestAnEmptyEnvelopeTellsNothing(t *testing.T) {
	t.Parallel()
	require.Empty(t, setup(t).post(`{"events":[]}`))
}

func TestAByteOrderMarkIsNoHarm(t *testing.T) {
	t.Parallel()
	body := envelope(t, told{id: "1", action: "push", mediaType: ociManifest, repository: "a", tag: "v1", digest: digestA})
	require.Equal(t, []string{"package.added a v1"}, summaries(t, setup(t).post("\ufeff"+body)))
}

func TestABodyThatIsNotJSONIsInvalid(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":           "",
		"a form":          "payload=%7B%7D",
		"cut off":         `{"events":[{"id":"1"`,
		"something after": `{"events":[]} {}`,
		"no UTF-8":        "{\"events\":[\"\xff\"]}",
		"too deep":        strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, err := b.adapter.Events(t.Context(), b.upstream(body), b.memory)
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
		})
	}
}

func FuzzDistribution(f *testing.F) {
	paths, err := filepath.Glob("testdata/distribution/*.json")
	require.NoError(f, err)
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		require.NoError(f, err)
		var request struct {
			Body string `json:"body"`
		}
		require.NoError(f, json.Unmarshal(raw, &request))
		f.Add([]byte(request.Body))
	}
	f.Add([]byte(`{"events":[{"action":"delete","target":{"repository":"a","tag":"\u0000"}}]}`))
	f.Add([]byte(`{"events":[{"action":"push","actor":{"name":"\ud800"},"request":{"host":"\u0000"}}]}`))
	c, err := catalog.Load()
	require.NoError(f, err)
	source := carillon.Source{ID: "src_1", Name: "registry", Kind: "distribution", Scope: map[string]string{"feed": "containers"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		in := Upstream{Body: body, Source: source, ReceivedAt: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)}
		memory := newMemory()
		events, err := distribution{}.Events(t.Context(), in, memory)
		if err != nil {
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
			require.Empty(t, events)
			return
		}
		for _, e := range events {
			requirePublishable(t, c, source, e)
		}
		again, err := distribution{}.Events(t.Context(), in, memory)
		require.NoError(t, err)
		require.Equal(t, events, again)
	})
}
