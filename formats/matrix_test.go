package formats_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/strict"
	"github.com/carillon-dev/carillon/sources"
)

// Every type of the catalog, in every format: rendered as the strict receiver
// takes it, or refused.
func TestEveryTypeIsCarriedOrRefused(t *testing.T) {
	t.Parallel()
	carried := map[string]int{}
	for _, name := range written() {
		f := lookup(t, name)
		for _, typ := range types.Types() {
			_, named := typ.Products[name]
			product := len(catalog.ProductTypes(name)) > 0
			require.Equal(t, named || !product, f.Carries(typ.Name), "%s × %s", name, typ.Name)
			for _, options := range everyOption(f) {
				payload, err := f.Render(formats.Request{Event: typ.Example, Options: options, Instance: instance})
				if !f.Carries(typ.Name) {
					require.EqualError(t, err, fmt.Sprintf("the format %s does not carry %s", name, typ.Name))
					continue
				}
				require.NoError(t, err, "%s × %s", name, typ.Name)
				require.NoError(t, strict.Receivers[name](headerOf(f, payload), payload.Body), "%s × %s: %s", name, typ.Name, payload.Body)
				carried[name]++
			}
		}
	}
	require.Equal(t, len(catalog.ProductTypes("codescoring")), carried["codescoring"])
	require.Equal(t, 2*len(catalog.ProductTypes("myget")), carried["myget"], "in both content types")
}

// everyOption returns each choice that a format offers, and none.
func everyOption(f formats.Format) []json.RawMessage {
	choices := []json.RawMessage{}
	for _, o := range f.Describe().Options {
		for _, value := range o.Values {
			choices = append(choices, json.RawMessage(fmt.Sprintf(`{%q:%q}`, o.Name, value)))
		}
	}
	if len(choices) == 0 {
		choices = append(choices, nil)
	}
	return choices
}

func TestCloudEventsTypesAreTakenBackUnderTheirPrefix(t *testing.T) {
	t.Parallel()
	payload, err := lookup(t, "cloudevents").Render(formats.Request{Event: types.Types()[0].Example})
	require.NoError(t, err)
	require.Contains(t, string(payload.Body), `"type":"`+sources.TypePrefix+types.Types()[0].Name+`"`)
}

func TestCloudEventsSourcesAreReferences(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"registry.example.com":      "registry.example.com",
		"https://registry.example/": "https://registry.example/",
		"my registry":               "my%20registry",
		"Реестр":                    "%D0%A0%D0%B5%D0%B5%D1%81%D1%82%D1%80",
		"my registry: 1":            "my%20registry%3A%201",
		"50%":                       "50%25",
	} {
		event := types.Types()[0].Example
		event.Source = source
		payload, err := lookup(t, "cloudevents").Render(formats.Request{Event: event})
		require.NoError(t, err)
		value, err := strict.Decode(payload.Body)
		require.NoError(t, err)
		require.Equal(t, want, strict.Member(value, "source"))
	}
}

func TestCloudEventsSourcesArePercentEncodedInHeaders(t *testing.T) {
	t.Parallel()
	event := types.Types()[0].Example
	event.Source = "my registry"
	payload, err := lookup(t, "cloudevents").Render(formats.Request{Event: event, Options: json.RawMessage(`{"mode":"binary"}`)})
	require.NoError(t, err)
	require.Contains(t, payload.Headers, formats.Header{Name: "ce-source", Value: "my%2520registry"})
	text, err := sources.StructuredCloudEvent(headerOf(lookup(t, "cloudevents"), payload), payload.Body)
	require.NoError(t, err)
	value, err := strict.Decode(text)
	require.NoError(t, err)
	require.Equal(t, "my%20registry", strict.Member(value, "source"))
}

func TestAnAnalysisIDIsWrittenAsItIs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`"a-1"`, `"7"`, `7`} {
		payload, err := lookup(t, "codescoring").Render(formats.Request{Event: carillon.Event{
			Type: "analysis.project_sca_finished", Data: json.RawMessage(`{"analysis_id":` + id + `}`),
		}})
		require.NoError(t, err)
		require.Contains(t, string(payload.Body), `"analysis_id":`+id)
	}
}

func TestAVulnerabilityOfOnePackageHasOneEntryInProGetsFormat(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"package":"A","version":"1.0","package_type":"nuget"}`: `{"packages":[{"Name":"nuget:A","AffectedVersions":"1.0"}],`,
		`{"package":"A"}`:                        `{"packages":[{"Name":"A","AffectedVersions":""}],`,
		`{"package":"A","affected_packages":[]}`: `{"packages":[],`,
		`{}`:                                     `{"packages":[],`,
	} {
		payload, err := lookup(t, "proget").Render(formats.Request{
			Event: carillon.Event{Type: "sca.vulnerability_detected", Data: json.RawMessage(data)}, Options: json.RawMessage(`{"content_type":"text/json"}`),
		})
		require.NoError(t, err)
		require.Equal(t, want, string(payload.Body)[:len(want)])
		require.Equal(t, "text/json", payload.ContentType)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		format, options, pointer, detail string
	}{
		{"standard", `{"mode":"x"}`, "/format_options/mode", "is no option: the format has none"},
		{"standard", `[]`, "/format_options", "must be an object"},
		{"myget", `{"content_type":"text/plain"}`, "/format_options/content_type", "must be one of application/vnd.myget.webhooks.v1+json, application/json"},
		{"myget", `{"content_type":null}`, "/format_options/content_type", "must be one of application/vnd.myget.webhooks.v1+json, application/json"},
		{"myget", `{"content/type":1}`, "/format_options/content~1type", "is no option of the format; there is content_type"},
		{"cloudevents", `{"mode":"batch"}`, "/format_options/mode", "must be one of structured, binary"},
		{"proget", `"x"`, "/format_options", "must be an object"},
		{"proget", `{"content_type":"json"}`, "/format_options/content_type", "must be a media type, in UTF-8"},
		{"proget", `{"content_type":"text/plain\r\nX: 1"}`, "/format_options/content_type", "must be a media type, in UTF-8"},
		{"codescoring", `{"token":"x"}`, "/format_options/token", "is no option: the format has none"},
		{"defectdojo", `{"a":1}`, "/format_options/a", "is no option: the format has none"},
	} {
		_, err := lookup(t, tc.format).Prepare(json.RawMessage(tc.options), nil)
		require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err), tc)
		var invalid *carillon.Error
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, []carillon.Problem{{Pointer: tc.pointer, Detail: tc.detail}}, invalid.Problems)
	}
	for _, format := range written() {
		for _, none := range []json.RawMessage{nil, json.RawMessage(`{}`)} {
			kept, err := lookup(t, format).Prepare(none, nil)
			require.NoError(t, err)
			require.Nil(t, kept)
		}
	}
	kept, err := lookup(t, "myget").Prepare(json.RawMessage(`{"content_type":"application/json"}`), nil)
	require.NoError(t, err)
	payload, err := lookup(t, "myget").Render(formats.Request{Event: types.Types()[0].Example, Options: kept})
	require.Error(t, err)
	require.Empty(t, payload)
}

// maxFuzzedText is the longest text that is put in every place of every event.
const maxFuzzedText = 5000

// FuzzValuesChangeNoStructure puts a text in the place of every text of every
// example: what is written keeps its structure, in every format.
func FuzzValuesChangeNoStructure(f *testing.F) {
	for _, seed := range []string{
		`"`, `\"},{"x":"`, `'`, "<script>alert(1)</script>", "</", "]]>", "a\nb\r\nX-Evil: 1", "\t\x00\x7f", "${data.package}", "${", "`$", "$ToJson(%(a: 1))",
		"<!channel>", "<% foreach %>", "%0d%0a", "\u2028\u2029", "e\u0301 中 🔔", "null", "1", "-0.5e3", "{}", "[]", "true", strings.Repeat("x", 5000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) || value == "" || strings.EqualFold(value, "nuget") {
			return // no event has such a text, or it means something
		}
		if len(value) > maxFuzzedText {
			return
		}
		for _, name := range written() {
			format := lookup(t, name)
			for _, typ := range types.Types() {
				if !format.Carries(typ.Name) {
					continue
				}
				for _, options := range everyOption(format) {
					request := formats.Request{Event: typ.Example, Options: options, Instance: instance}
					plain, err := format.Render(request)
					require.NoError(t, err)
					request.Event = hostile(t, typ.Example, value)
					payload, err := format.Render(request)
					require.NoError(t, err)
					require.Equal(t, skeleton(t, plain.Body), skeleton(t, payload.Body), "%s × %s", name, typ.Name)
					require.Len(t, payload.Headers, len(plain.Headers))
					for _, h := range payload.Headers {
						require.False(t, strings.ContainsAny(h.Value, "\r\n\x00"), "%s: %q", h.Name, h.Value)
					}
				}
			}
		}
	})
}

// hostile puts the text in the place of every text that a producer gives.
func hostile(t *testing.T, e carillon.Event, text string) carillon.Event {
	t.Helper()
	data, err := strict.Decode(e.Data)
	require.NoError(t, err)
	if e.Data, err = json.Marshal(everyText(data, text)); err != nil {
		t.Fatal(err)
	}
	if e.Actor != "" {
		e.Actor = text
	}
	if e.Subject != "" {
		e.Subject = text
	}
	scope := map[string]string{}
	for key := range e.Scope {
		scope[key] = text
	}
	e.Source, e.Scope = text, scope
	return e
}

func everyText(value any, text string) any {
	switch v := value.(type) {
	case string:
		return text
	case map[string]any:
		for key := range v {
			v[key] = everyText(v[key], text)
		}
	case []any:
		for i := range v {
			v[i] = everyText(v[i], text)
		}
	}
	return value
}

// skeleton is a document with its texts left out.
func skeleton(t *testing.T, body []byte) any {
	t.Helper()
	value, err := strict.Decode(body)
	require.NoError(t, err, "%s", body)
	return everyText(value, "text")
}
