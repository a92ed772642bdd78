package sources

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// ceBench is a bench of the kind "cloudevents".
func ceBench(t *testing.T) *bench {
	t.Helper()
	b := setup(t)
	adapter, ok := Lookup("cloudevents")
	require.True(t, ok)
	b.adapter, b.source.Kind = adapter, "cloudevents"
	return b
}

// send returns the events of a request with the headers.
func (b *bench) send(header map[string]string, body string) []carillon.Event {
	b.t.Helper()
	in := b.upstream(body)
	in.Catalog, in.Header = b.catalog, http.Header{}
	for name, value := range header {
		in.Header.Set(name, value)
	}
	events, err := b.adapter.Events(b.t.Context(), in, b.memory)
	require.NoError(b.t, err)
	for _, e := range events {
		requirePublishable(b.t, b.catalog, b.source, e)
	}
	return events
}

func (b *bench) structured(body string) []carillon.Event {
	b.t.Helper()
	return b.send(map[string]string{"Content-Type": CloudEventType}, body)
}

// harborEvent is what Harbor sends; change replaces parts of it.
func harborEvent(change ...string) string {
	return strings.NewReplacer(change...).Replace(`{"specversion":"1.0","id":"0bc7ce8d-c3a8-4b1b-9e8a-3bd2bd4d0a3c",` +
		`"requestid":"req-1","source":"/projects/2/webhook/policies/1","type":"harbor.artifact.pushed",` +
		`"datacontenttype":"application/json","time":"2026-11-21T20:00:00Z","operator":"maartenba",` +
		`"data":{"resources":[{"digest":"` + digestA + `","tag":"v1","resource_url":"harbor.example.com/acme/hello:v1"}],` +
		`"repository":{"date_created":1678082303,"name":"hello","namespace":"acme","repo_full_name":"acme/hello","repo_type":"private"}}}`)
}

func TestHarborsCloudEvents(t *testing.T) {
	t.Parallel()
	b := ceBench(t)
	events := b.structured(harborEvent())
	require.Equal(t, []string{"package.added acme/hello v1"}, summaries(t, events))
	require.Equal(t, "maartenba", events[0].Actor)
	require.Equal(t, "pkg:oci/hello@"+digestA+"?repository_url=harbor.example.com%2Facme%2Fhello&tag=v1",
		strings.ReplaceAll(events[0].Subject, "%3A", ":"))
	require.Equal(t, "2026-11-21T20:00:00Z", events[0].Time.Format("2006-01-02T15:04:05Z"))

	other := b.structured(harborEvent("0bc7ce8d", "1bc7ce8d", "policies/1", "policies/2"))
	require.Equal(t, events, other, "another policy of Harbor's about the same request")

	require.Empty(t, b.structured(harborEvent("artifact.pushed", "artifact.pulled")))
	require.Equal(t, []string{"package.overwritten acme/hello v1"},
		summaries(t, b.structured(harborEvent("req-1", "req-2", digestA, digestB))))
	require.Empty(t, b.structured(harborEvent("req-1", "req-3", `"tag":"v1"`, `"tag":"`+digestA+`"`)), "a push without a tag")
	require.Equal(t, []string{"package.deleted acme/hello v1"},
		summaries(t, b.structured(harborEvent("req-1", "req-4", "artifact.pushed", "artifact.deleted", digestA, digestB))))
}

func TestACloudEventOfTheCatalogsOwnTypesPasses(t *testing.T) {
	t.Parallel()
	b := ceBench(t)
	header := map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "4711", "ce-source": "/registry",
		"ce-type": "package.added", "ce-time": "2026-11-21T21:00:00+01:00", "ce-subject": "pkg:nuget/MyCorp.CoolUtils@3.2.0",
		"ce-actor": "J%C3%BCrgen", "ce-traceparent": "00-1-2-03",
	}
	data := `{"package":"MyCorp.CoolUtils","version":"3.2.0"}`
	binary := b.send(header, data)
	require.Len(t, binary, 1)
	require.Equal(t, "package.added", binary[0].Type)
	require.Equal(t, "Jürgen", binary[0].Actor)
	require.JSONEq(t, data, string(binary[0].Data))

	structured := `{"specversion":"1.0","id":"4711","source":"/registry","type":"dev.carillon.package.added","actor":"Jürgen",` +
		`"time":"2026-11-21T21:00:00+01:00","subject":"pkg:nuget/MyCorp.CoolUtils@3.2.0","data":` + data + `}`
	require.Equal(t, binary, b.structured(structured), "the mode makes no difference")
	batch := b.send(map[string]string{"Content-Type": CloudEventsType},
		"["+structured+","+strings.Replace(structured, "4711", "4712", 1)+"]")
	require.Len(t, batch, 2)
	require.Equal(t, binary[0], batch[0])
}

func TestWhatIsNoKnownCloudEventIsUnknown(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, reason string }{
		{"another type of Harbor's", harborEvent("artifact.pushed", "scan.completed"), `the type "harbor.scan.completed" is not known`},
		{"a type of somebody's", harborEvent("harbor.artifact.pushed", "com.example.moved"), `the type "com.example.moved" is not known`},
		{"a type of Carillon's own", harborEvent("harbor.artifact.pushed", "source.unknown"), `the type "source.unknown" is not known`},
		{"an older version", harborEvent(`"1.0"`, `"0.3"`), `the specversion "0.3" is not 1.0`},
		{"no id", harborEvent(`"id":"0bc7ce8d-c3a8-4b1b-9e8a-3bd2bd4d0a3c",`, ""), "id, source or type is missing"},
		{"data in XML", harborEvent("application/json", "text/xml"), `the datacontenttype "text/xml" is not JSON`},
		{"no resources", harborEvent("resources", "artifacts"), "the data has no resources as Harbor's has"},
		{"a digest that is none", harborEvent(digestA, "abc"), "the target's digest is none"},
		{"data against its schema", harborEvent("harbor.artifact.pushed", "package.added"), "the data is not as the catalog says"},
		{"data that is no object", `{"specversion":"1.0","id":"1","source":"s","type":"package.added","data":[1]}`, "the data is no JSON object"},
		{"no data", `{"specversion":"1.0","id":"1","source":"s","type":"package.added"}`, "the data is no JSON object"},
		{"a list", `[1]`, "this is no CloudEvent in JSON"},
		{"a number", `1`, "this is no CloudEvent in JSON"},
		{"an attribute of another type", `{"specversion":1}`, "this is no CloudEvent in JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := ceBench(t)
			events := b.structured(test.body)
			require.Len(t, events, 1)
			require.Equal(t, "source.unknown", events[0].Type)
			var data unknownData
			require.NoError(t, json.Unmarshal(events[0].Data, &data))
			require.Equal(t, "cloudevents", data.Kind)
			require.Contains(t, data.Reason, test.reason)
			require.Equal(t, events, b.structured(test.body), "repeated")
		})
	}
}

func TestTwoUnknownEventsInBinaryModeWithOneBodyAreTwo(t *testing.T) {
	t.Parallel()
	b := ceBench(t)
	header := map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "com.example.moved",
	}
	first := b.send(header, `{}`)
	header["ce-id"] = "2"
	second := b.send(header, `{}`)
	require.NotEqual(t, first[0].ID, second[0].ID)
	header["ce-subject"] = "%zz"
	require.Equal(t, "source.unknown", b.send(header, `{}`)[0].Type)
}

func TestABodyThatIsNoJSONIsNoCloudEvent(t *testing.T) {
	t.Parallel()
	b := ceBench(t)
	in := b.upstream(`{"specversion"`)
	in.Catalog = b.catalog
	_, err := b.adapter.Events(t.Context(), in, b.memory)
	require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
}

func TestReadingABatchLeavesTheBodyAsItCame(t *testing.T) {
	t.Parallel()
	b := ceBench(t)
	body := "[" + harborEvent() + ", {}]"
	in := b.upstream(body)
	in.Catalog, in.Header = b.catalog, http.Header{"Content-Type": {CloudEventsType}}
	_, err := b.adapter.Events(t.Context(), in, b.memory)
	require.NoError(t, err)
	require.Equal(t, body, string(in.Body))
}
