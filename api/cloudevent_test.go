package api

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/workflows"
)

const (
	structuredType = "application/cloudevents+json"
	batchType      = "application/cloudevents-batch+json"
)

// ce is the event of [added] as a CloudEvent; change replaces parts of it.
func ce(change ...string) string {
	return strings.NewReplacer(change...).Replace(`{"specversion":"1.0","id":"build-4711","type":"package.added",` +
		`"source":"registry.example.com","actor":"maartenba","carillonscope":"feed:internal-utils",` +
		`"subject":"pkg:nuget/MyCorp.CoolUtils@3.2.0","time":"2026-11-21T21:00:00.1234567+01:00","traceparent":"00-1-2-03",` +
		`"datacontenttype":"application/json","data":{"package":"MyCorp.CoolUtils","version":"3.2.0"}}`)
}

func post(contentType, body string) call {
	return call{method: http.MethodPost, path: "/v1/events", body: body, header: map[string]string{"Content-Type": contentType}}
}

// binary is the event of [added] in binary mode.
func binary(change map[string]string) call {
	c := post("application/json", `{"package":"MyCorp.CoolUtils","version":"3.2.0"}`)
	maps.Copy(c.header, map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "build-4711", "Ce-Type": "dev.carillon.package.added", "Ce-Source": "registry.example.com",
		"Ce-Actor": "maartenba", "Ce-Carillonscope": "feed:internal-utils", "Ce-Subject": "pkg:nuget/MyCorp.CoolUtils%403.2.0",
		"Ce-Time": "2026-11-21T21:00:00.1234567+01:00", "Ce-Traceparent": "00-1-2-03",
	})
	maps.Copy(c.header, change)
	return c
}

func TestAnEventIsTheSameInEveryForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	native := b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: added()})
	structured := b.do(t, post(structuredType, ce()))
	require.Equal(t, http.StatusAccepted, structured.status, "%s", structured.body)
	require.Equal(t, "/v1/events/"+carillon.EventID("registry.example.com", "build-4711"), structured.header.Get("Location"))
	require.JSONEq(t, string(native), string(structured.body))
	require.JSONEq(t, string(native), string(b.ok(t, http.StatusAccepted, post(structuredType+"; charset=UTF-8", ce(`"package.`, `"dev.carillon.package.`)))))
	require.JSONEq(t, string(native), string(b.ok(t, http.StatusAccepted, binary(nil))))
	batch := decode[upstreamView](t, b.ok(t, http.StatusAccepted, post(batchType, "["+ce()+","+ce()+"]")))
	require.Equal(t, []acceptedView{decode[acceptedView](t, native), decode[acceptedView](t, native)}, batch.Events)
	require.Len(t, b.publisher.published, 1)
}

func TestABatchStartsARunForEach(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var parts []string
	for i := range workflows.MaxBatchEvents {
		parts = append(parts, ce("build-4711", fmt.Sprintf("build-%d", i)))
	}
	view := decode[upstreamView](t, b.ok(t, http.StatusAccepted, post(batchType, "["+strings.Join(parts, ",")+"]")))
	require.Len(t, view.Events, workflows.MaxBatchEvents)
	require.Len(t, b.publisher.published, workflows.MaxBatchEvents)
	for i, accepted := range view.Events {
		require.Equal(t, carillon.EventID("registry.example.com", fmt.Sprintf("build-%d", i)), accepted.ID)
	}
	require.JSONEq(t, `{"events":[]}`, string(b.ok(t, http.StatusAccepted, post(batchType, "[]"))))
}

func TestACloudEventIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		call   call
		status int
		at     string
		detail string
	}{
		{"an older version", post(structuredType, ce(`"1.0"`, `"0.3"`)), 422, "/specversion", "1.0"},
		{"no version", post(structuredType, ce(`"specversion":"1.0",`, "")), 422, "/specversion", "required"},
		{"no id", post(structuredType, ce(`"id":"build-4711",`, "")), 422, "/id", "required"},
		{"no source", post(structuredType, ce(`"source":"registry.example.com",`, "")), 422, "/source", "required"},
		{"Carillon's source", post(structuredType, ce("registry.example.com", "carillon")), 422, "/source", "own"},
		{"an unknown type", post(structuredType, ce("package.added", "com.example.package.added")), 422, "/type", "com.example"},
		{"a type of Carillon's own", post(structuredType, ce("package.added", "dev.carillon.source.unknown")), 422, "/type", "only Carillon"},
		{"data in XML", post(structuredType, ce("application/json", "text/xml")), 422, "/datacontenttype", "JSON"},
		{"data in base64", post(structuredType, ce(`"data":{`, `"data_base64":"e30=","x":{`)), 422, "/data_base64", "JSON"},
		{"no data", post(structuredType, ce(`"data":{`, `"x":{`)), 422, "/data", "required"},
		{"data that is no object", post(structuredType, ce(`"data":{"package":"MyCorp.CoolUtils","version":"3.2.0"}`, `"data":"x"`)), 422, "/data", "object"},
		{"data against its schema", post(structuredType, ce(`"3.2.0"}`, `3}`)), 422, "/data/version", "string"},
		{"a time that is none", post(structuredType, ce("2026-11-21T", "yesterday")), 422, "/time", "RFC 3339"},
		{"a scope that is none", post(structuredType, ce("feed:internal-utils", "internal-utils")), 422, "/carillonscope", "key:value"},
		{"a scope's key twice", post(structuredType, ce("feed:internal-utils", "feed:a,feed:b")), 422, "/carillonscope", "once"},
		{"no object", post(structuredType, `[]`), 422, "", "object"},
		{"not JSON", post(structuredType, `{`), 422, "", ""},
		{"too much", post(structuredType, ce("3.2.0\"}", strings.Repeat("x", carillon.MaxEventBytes)+"\"}")), 413, "", "256 KiB"},
		{"a format that is not read", post("application/cloudevents-batch+avro", `[]`), 415, "", "JSON"},

		{"binary, with data in XML", binary(map[string]string{"Content-Type": "text/xml"}), 415, "", "JSON"},
		{"binary, without a content type", binary(map[string]string{"Content-Type": ""}), 415, "", "JSON"},
		{"binary, of an older version", binary(map[string]string{"Ce-Specversion": "0.3"}), 422, "/specversion", "1.0"},
		{"binary, without an id", binary(map[string]string{"Ce-Id": ""}), 422, "/id", "required"},
		{"binary, with a bad escape", binary(map[string]string{"Ce-Subject": "%zz"}), 422, "/subject", "percent"},
		{"binary, with bytes that are no UTF-8", binary(map[string]string{"Ce-Subject": "%ff"}), 422, "/subject", "UTF-8"},
		{"binary, with U+0000", binary(map[string]string{"Ce-Subject": "a%00"}), 422, "/subject", "U+0000"},
		{"binary, of an unknown type", binary(map[string]string{"Ce-Type": "nothing"}), 422, "/type", "nothing"},

		{"a batch that is no array", post(batchType, ce()), 422, "", "array"},
		{"a batch of null", post(batchType, `null`), 422, "", "array"},
		{"a batch of numbers", post(batchType, `[1]`), 422, "/0", "object"},
		{"the second of a batch", post(batchType, "["+ce()+","+ce("build-4711", "2", `"3.2.0"}`, `3}`)+"]"), 422, "/1/data/version", "string"},
		{"one id with two contents", post(batchType, "["+ce()+","+ce("maartenba", "somebody")+"]"), 422, "/1/id", "/0"},
		{"a batch of 101", post(batchType, "["+ce()+strings.Repeat(","+ce(), 100)+"]"), 422, "", "100"},
		{"a batch of 600 KiB", post(batchType, "["+strings.Repeat(" ", 600<<10)+"]"), 413, "", "512 KiB"},
		{"a batch of one that is too large", post(batchType, "["+ce("3.2.0\"}", strings.Repeat("x", carillon.MaxEventBytes)+"\"}")+"]"), 413, "", "/0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := b.problem(t, test.status, test.call)
			said := p.Detail
			if test.status == http.StatusUnprocessableEntity {
				require.NotEmpty(t, p.Errors, said)
				require.Equal(t, test.at, p.Errors[0].Pointer, p.Errors[0].Detail)
				said += p.Errors[0].Detail
			}
			require.Contains(t, said, test.detail)
			require.Empty(t, b.publisher.published, "nothing of it is taken")
			require.NotContains(t, b.log.String(), "level=ERROR")
		})
	}
}

func TestABatchIsTakenAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ok(t, http.StatusAccepted, post(structuredType, ce("maartenba", "somebody")))
	p := b.problem(t, http.StatusConflict, post(batchType, "["+ce("build-4711", "other")+","+ce()+"]"))
	require.Equal(t, carillon.CodeEventReused, p.Code)
	require.Len(t, b.publisher.published, 1)

	b.publisher.fail = carillon.Errorf(carillon.CodeUnavailable, "Temporal does not answer")
	p = b.problem(t, http.StatusServiceUnavailable, post(batchType, "["+ce("build-4711", "third")+"]"))
	require.Contains(t, p.Detail, "which is safe")
}
