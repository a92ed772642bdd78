package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// added is a package.added as a producer posts it; change replaces parts of it.
func added(change ...string) string {
	return strings.NewReplacer(change...).Replace(`{"id":"build-4711","type":"package.added","source":"registry.example.com",` +
		`"actor":"maartenba","scope":{"feed":"internal-utils"},"subject":"pkg:nuget/MyCorp.CoolUtils@3.2.0",` +
		`"time":"2026-11-21T21:00:00.1234567+01:00","data":{"package":"MyCorp.CoolUtils","version":"3.2.0"}}`)
}

func TestPublish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp := b.do(t, call{method: http.MethodPost, path: "/v1/events", body: added()})
	require.Equal(t, http.StatusAccepted, resp.status)
	id := carillon.EventID("registry.example.com", "build-4711")
	require.Equal(t, "/v1/events/"+id, resp.header.Get("Location"))

	golden(t, "publish", b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: added()}))
	require.Equal(t, []carillon.Event{{
		ID: id, Type: "package.added", Source: "registry.example.com", Actor: "maartenba",
		Scope: map[string]string{"feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
		Time: time.Date(2026, 11, 21, 20, 0, 0, 123456700, time.UTC),
		Data: json.RawMessage(`{"package":"MyCorp.CoolUtils","version":"3.2.0"}`),
	}}, b.publisher.published, "a repeated post is one event")
}

func TestPublishWithTheLeast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := ` {"type":"ping", "source":"me", "data": {"n": 1.50, "text": "<é>"} } `
	first := decode[acceptedView](t, b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: body}))
	second := decode[acceptedView](t, b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: body}))
	require.NotEqual(t, first.ID, second.ID, "without an id, every post is an event")
	require.Regexp(t, `^evt_[0-9A-Z]{26}$`, first.ID)

	event := b.publisher.published[0]
	require.Equal(t, now, event.Time)
	require.JSONEq(t, `{"n":1.50,"text":"<é>"}`, string(event.Data))
	require.Contains(t, string(event.Data), "1.50", "numbers keep their digits")
}

func TestPublishTakesANullForAFieldThatIsNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := `{"id":null,"type":"ping","source":"me","actor":null,"scope":null,"subject":null,"time":null,"data":{}}`
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: body})
}

func TestTheTimeOfAPostIsNotPartOfItsFingerprint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := `{"id":"1","type":"ping","source":"me","data":{}}`
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: body})
	b.deps.Now = func() time.Time { return now.Add(time.Hour) }
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: body})
	require.Len(t, b.publisher.published, 1)
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	const long = 100_000
	tests := []struct {
		name   string
		body   string
		header map[string]string
		status int
		code   carillon.Code
		at     []string // pointers
		detail string
	}{
		{name: "no body", status: 415, code: codeMediaType},
		{name: "no content type", body: added(), header: map[string]string{"Content-Type": ""}, status: 415, code: codeMediaType},
		{name: "a form", body: `a=b`, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 415, code: codeMediaType},
		{name: "a CloudEvent in Avro", body: added(), header: map[string]string{"Content-Type": "application/cloudevents+avro"}, status: 415, code: codeMediaType},
		{name: "another charset", body: added(), header: map[string]string{"Content-Type": "application/json; charset=latin1"}, status: 415, code: codeMediaType},
		{name: "a compressed body", body: added(), header: map[string]string{"Content-Encoding": "gzip"}, status: 415, code: codeMediaType},
		{name: "an empty body", body: " ", status: 422, code: carillon.CodeInvalid, at: []string{""}},
		{name: "not JSON", body: "type: ping", status: 422, code: carillon.CodeInvalid, at: []string{""}},
		{name: "no object", body: `[1]`, status: 422, code: carillon.CodeInvalid, at: []string{""}, detail: "object"},
		{name: "null", body: `null`, status: 422, code: carillon.CodeInvalid, at: []string{""}, detail: "object"},
		{name: "nothing of what is required", body: `{}`, status: 422, code: carillon.CodeInvalid, at: []string{"/type", "/source", "/data"}, detail: "required"},
		{name: "empty strings", body: `{"id":"","type":"","source":"","data":{}}`, status: 422, code: carillon.CodeInvalid, at: []string{"/type", "/source", "/id"}, detail: "empty"},
		{
			name: "wrong types", body: `{"id":1,"type":2,"source":{},"actor":[],"scope":"x","subject":false,"time":5,"data":[]}`,
			status: 422, code: carillon.CodeInvalid,
			at: []string{"/type", "/source", "/actor", "/scope", "/subject", "/time", "/id", "/data"}, detail: "must be",
		},
		{name: "unknown fields", body: added(`"actor"`, `"Actor"`, `"time"`, `"timestamp"`), status: 422, code: carillon.CodeInvalid, at: []string{"/Actor", "/timestamp"}, detail: "known are"},
		{name: "an unknown type", body: added("package.added", "package.aded"), status: 422, code: carillon.CodeInvalid, at: []string{"/type"}, detail: "package.added"},
		{name: "a type of Carillon's own", body: added("package.added", "subscription.disabled"), status: 422, code: carillon.CodeInvalid, at: []string{"/type"}, detail: "only Carillon"},
		{name: "an unknown source's type", body: added("package.added", "source.unknown"), status: 422, code: carillon.CodeInvalid, at: []string{"/type"}, detail: "only Carillon"},
		{name: "data against its schema", body: added(`"version":"3.2.0"`, `"version":3`, `"package":"MyCorp.CoolUtils",`, ``), status: 422, code: carillon.CodeInvalid, at: []string{"/data/package", "/data/version"}},
		{name: "a scope of lists", body: added(`"internal-utils"`, `["internal-utils"]`), status: 422, code: carillon.CodeInvalid, at: []string{"/scope/feed"}, detail: "string"},
		{name: "an empty scope value", body: added(`"internal-utils"`, `""`), status: 422, code: carillon.CodeInvalid, at: []string{"/scope/feed"}, detail: "empty"},
		{name: "a scope key with a colon", body: added(`"feed"`, `"fe:ed"`), status: 422, code: carillon.CodeInvalid, at: []string{"/scope/fe:ed"}, detail: "colon"},
		{name: "a time that is none", body: added("2026-11-21T21:00:00.1234567+01:00", "21.11.2026"), status: 422, code: carillon.CodeInvalid, at: []string{"/time"}, detail: "RFC 3339"},
		{name: "a time that is in year 10000 in UTC", body: added("2026-11-21T21:00:00.1234567+01:00", "9999-12-31T23:59:59-01:00"), status: 422, code: carillon.CodeInvalid, at: []string{"/time"}},
		{name: "a time before there were computers", body: added("2026-11-21T21:00:00.1234567+01:00", "0000-01-01T00:00:00+01:00"), status: 422, code: carillon.CodeInvalid, at: []string{"/time"}},
		{name: "control characters", body: added("maartenba", `a\nb`), status: 422, code: carillon.CodeInvalid, at: []string{"/actor"}, detail: "control"},
		{name: "a long id", body: added("build-4711", strings.Repeat("x", 256)), status: 422, code: carillon.CodeInvalid, at: []string{"/id"}, detail: "at most 255"},
		{name: "a long subject", body: added("3.2.0\",\"time", strings.Repeat("x", long)+"\",\"time"), status: 422, code: carillon.CodeInvalid, at: []string{"/subject"}, detail: "at most 1024"},
		{name: "a key twice", body: added(`"actor"`, `"type":"ping","actor"`), status: 422, code: carillon.CodeInvalid, at: []string{"/type"}, detail: "twice"},
		{name: "a depth of 10,000", body: added(`"3.2.0"}}`, strings.Repeat("[", 10_000)), status: 422, code: carillon.CodeInvalid, at: []string{"/data/version" + strings.Repeat("/0", 30)}, detail: "32 levels"},
		{name: "U+0000", body: added("CoolUtils\",", "Cool\\u0000Utils\","), status: 422, code: carillon.CodeInvalid, at: []string{"/data/package"}, detail: "U+0000"},
		{name: "10 MB", body: added("CoolUtils\",", strings.Repeat("x", 10<<20)+"\","), status: 413, code: carillon.CodeTooLarge, detail: "256 KiB"},
		{name: "no key", body: added(), header: map[string]string{"Authorization": ""}, status: 401, code: carillon.CodeUnauthorized},
		{name: "a wrong key", body: added(), header: map[string]string{"Authorization": "Bearer " + key + "x"}, status: 401, code: carillon.CodeUnauthorized},
		{name: "another scheme", body: added(), header: map[string]string{"Authorization": "Basic " + key}, status: 401, code: carillon.CodeUnauthorized},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := b.problem(t, test.status, call{method: http.MethodPost, path: "/v1/events", body: test.body, header: test.header})
			require.Equal(t, test.code, p.Code)
			var at []string
			said := p.Detail
			for _, e := range p.Errors {
				at = append(at, e.Pointer)
				said += "; " + e.Detail
			}
			require.Equal(t, test.at, at, said)
			require.Contains(t, said, test.detail)
			require.Empty(t, b.publisher.published)
			require.NotContains(t, b.log.String(), "level=ERROR")
		})
	}
}

func TestABodyOfThousandsOfMistakesIsAnsweredShortly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var body strings.Builder
	body.WriteString(`{"a":1`)
	for i := range 10_000 {
		body.WriteString(`,"unknown` + strings.Repeat("x", i%10) + string(rune('a'+i%26)) + time.Duration(i).String() + `":1`)
	}
	body.WriteString("}")
	answer := b.ok(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: "/v1/events", body: body.String()})
	require.Less(t, len(answer), 16<<10)
}

func TestTheSameIDWithOtherContentIsAConflict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: added()})
	p := b.problem(t, http.StatusConflict, call{method: http.MethodPost, path: "/v1/events", body: added("maartenba", "somebody")})
	require.Equal(t, carillon.CodeEventReused, p.Code)
}

func TestWhenTemporalIsAwayAProducerLearnsWhatToDo(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, golden string }{
		{"with an id it posts again", added(), "publish_unknown_named"},
		{"without one it is warned of a second event", `{"type":"ping","source":"me","data":{}}`, "publish_unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.publisher.fail = &carillon.Error{
				Code: carillon.CodeUnavailable, Message: "Temporal does not answer", Err: errors.New("dial tcp 10.1.2.3:7233"),
			}
			resp := b.do(t, call{method: http.MethodPost, path: "/v1/events", body: test.body})
			require.Equal(t, "5", resp.header.Get("Retry-After"))
			golden(t, test.golden, b.ok(t, http.StatusServiceUnavailable, call{method: http.MethodPost, path: "/v1/events", body: test.body}))
			require.Contains(t, b.log.String(), "10.1.2.3", "the cause is in the log")
		})
	}
}

func TestAHundredPostsOfOneEventAtOnceAreOneEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: added()})
		})
	}
	all.Wait()
	require.Len(t, b.publisher.published, 1)
}
