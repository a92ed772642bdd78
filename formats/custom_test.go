package formats_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

func vulnerable() carillon.Event {
	return carillon.Event{
		ID: "evt_1", Type: "sca.vulnerability_detected", Source: "proget.example.com", Actor: "anna",
		Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC),
		Data: json.RawMessage(`{"vulnerability_id":"PGV-1","score":7.50,"severity":"<High> & \"up\"","affected_packages":[{"name":"nuget:A"},{"name":"nuget:B"}]}`),
	}
}

func TestCustomWritesTheSubscriptionsContent(t *testing.T) {
	t.Parallel()
	custom := lookup(t, "custom")
	for name, c := range map[string]struct{ options, want, contentType string }{
		"JSON": {
			`{"content": {"id": "${data.vulnerability_id}", "score": "${data.score}", "text": "is ${data.severity}"}}`,
			`{"id":"PGV-1","score":7.50,"text":"is <High> & \"up\""}`, "application/json",
		},
		"JSON as a text": {
			`{"content": "[ \"${actor}\" ]", "content_type": "application/vnd.example+json"}`, `["anna"]`, "application/vnd.example+json",
		},
		"a text":             {`{"content": "${actor}: ${data.severity}"}`, `anna: <High> & "up"`, "text/plain; charset=utf-8"},
		"a JSON number":      {`{"content": 1.50}`, `1.50`, "application/json"},
		"for Slack":          {`{"content": {"text": "${data.severity}"}, "escape": "slack"}`, `{"text":"&lt;High&gt; &amp; \"up\""}`, "application/json"},
		"text for Slack":     {`{"content": "${data.severity}", "escape": "slack"}`, `&lt;High&gt; &amp; "up"`, "text/plain; charset=utf-8"},
		"HTML in JSON":       {`{"content": ["${data.severity}"], "escape": "html"}`, `["&lt;High&gt; &amp; &#34;up&#34;"]`, "application/json"},
		"HTML":               {`{"content": "<p>${data.severity}</p>", "content_type": "text/html"}`, `<p>&lt;High&gt; &amp; &#34;up&#34;</p>`, "text/html"},
		"XML":                {`{"content": "<?xml version=\"1.0\"?><a b='${data.severity}'/>", "content_type": "application/xml"}`, `<?xml version="1.0"?><a b='&lt;High&gt; &amp; &#34;up&#34;'/>`, "application/xml"},
		"a form":             {`{"content": "a=${data.severity}", "content_type": "application/x-www-form-urlencoded"}`, `a=%3CHigh%3E+%26+%22up%22`, "application/x-www-form-urlencoded"},
		"XHTML":              {`{"content": "<p title='${data.severity}'/>", "content_type": "application/xhtml+xml"}`, `<p title='&lt;High&gt; &amp; &#34;up&#34;'/>`, "application/xhtml+xml"},
		"HTML by place":      {`{"content": ["<a href=\"/x?q=${data.severity}\" title=${data.severity}>x</a>"], "escape": "html"}`, `["<a href=\"/x?q=%3cHigh%3e%20%26%20%22up%22\" title=&lt;High&gt;&#32;&amp;&#32;&#34;up&#34;>x</a>"]`, "application/json"},
		"Markdown":           {`{"content": "**${data.severity}**", "content_type": "text/markdown"}`, `**&lt;High\> &amp; \"up\"**`, "text/markdown"},
		"a text in brackets": {`{"content": "[${actor}]", "content_type": "text/plain"}`, `[anna]`, "text/plain"},
		"from ProGet":        {`{"content": "${actor}", "proget_content": "$UserName"}`, `anna`, "text/plain; charset=utf-8"},
		"nothing unknown":    {`{"content": {"s": "${data.summary}", "t": "<${data.summary}>"}}`, `{"s":null,"t":"<>"}`, "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept, err := custom.Prepare(json.RawMessage(c.options), []string{"sca.vulnerability_detected"})
			require.NoError(t, err)
			for range 3 {
				payload, err := custom.Render(formats.Request{Event: vulnerable(), Options: kept})
				require.NoError(t, err)
				require.Equal(t, c.want, string(payload.Body))
				require.Equal(t, c.contentType, payload.ContentType)
			}
		})
	}
}

func TestCustomRefusesOptionsWithTheirPlace(t *testing.T) {
	t.Parallel()
	custom := lookup(t, "custom")
	for options, want := range map[string]string{
		``:                  "/format_options/content 0:0 is required",
		`{"content": null}`: "/format_options/content 0:0 is required",
		`[]`:                "/format_options 0:0 must be an object",
		`{"content": "x", "contnt": 1, "escape": 7}`:                                   "/format_options/contnt 0:0 is no option",
		`{"content": "x", "content_type": 1}`:                                          "/format_options/content_type 0:0 must be a string",
		`{"content": "x", "content_type": "image/png"}`:                                "/format_options/content_type 0:0 must be application/json",
		`{"content": "x", "content_type": "text/plain\r\nX: 1"}`:                       "/format_options/content_type 0:0 must be application/json",
		`{"content": "x", "content_type": "text/plain; charset=latin1"}`:               "/format_options/content_type 0:0 must be application/json",
		`{"content": {}, "content_type": "text/plain"}`:                                "/format_options/content 0:0 must be a string",
		`{"content": " {\"a\": 1}"}`:                                                   "/format_options/content_type 0:0 is required for a text that begins like JSON",
		`{"content": "[x]"}`:                                                           "/format_options/content_type 0:0 is required for a text that begins like JSON",
		`{"content": "<svg/>", "content_type": "image/svg+xml"}`:                       "/format_options/content_type 0:0 must be application/json",
		`{"content": "x", "proget_content": 1}`:                                        "/format_options/proget_content 0:0 must be a string",
		`{"content": "x", "escape": "html"}`:                                           "/format_options/escape 0:0 must be none",
		`{"content": {"a": ["x", "y\n${data.scor}"]}}`:                                 "/format_options/content/a/1 2:7 sca.vulnerability_detected has no field data.scor; did you mean score?",
		`{"content": "x\n y ${data.scor}"}`:                                            "/format_options/content 2:10 sca.vulnerability_detected has no field data.scor",
		`{"content": "{\"a\": \"${data.scor}\"}", "content_type": "application/json"}`: "/format_options/content 1:14 sca.vulnerability_detected has no field",
		`{"content": "{\"a\": }", "content_type": "application/json"}`:                 "/format_options/content 1:7 the template is not JSON",
	} {
		var posted json.RawMessage
		if options != "" {
			posted = json.RawMessage(options)
		}
		_, err := custom.Prepare(posted, []string{"sca.vulnerability_detected"})
		found, ok := errors.AsType[*carillon.Error](err)
		require.True(t, ok, options)
		p := found.Problems[0]
		got := p.Pointer + " " + jsonOf(t, p.Line) + ":" + jsonOf(t, p.Column) + " " + p.Detail
		require.True(t, strings.HasPrefix(got, want), "%s\ngot  %s\nwant %s", options, got, want)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

func TestCustomSaysWhyAnEventCannotBeWritten(t *testing.T) {
	t.Parallel()
	_, err := lookup(t, "custom").Render(formats.Request{
		Event: vulnerable(), Options: json.RawMessage(`{"content": {"a": ["${int(data.severity)}"]}}`),
	})
	require.ErrorContains(t, err, "the template has no result for this event: /a/0, line 1, column 6: ")
}

// What ProGet's page gives as the default contents of its webhooks.
var proGetDefaults = map[string]string{
	"build.issues_opened": `$ToJson(%(
    issues: @BuildIssues,
    buildNumber: $BuildNumber,
    releaseNumber: $ReleaseNumber,
    projectName: $ProjectName
))`,
	"sca.noncompliant_package": `$ToJson(%(
    package: $PackageId,
    version: $PackageVersion,
    result: $PackageComplianceResult,
    details: $PackageComplianceDetails,
    feed: $FeedName
))`,
	"sca.vulnerability_detected": `$ToJson(%(
    packages: @AffectedPackages,
    vulnerabilityId: $VulnerabilityId,
    summary: $VulnerabilitySummary,
    severity: $VulnerabilitySeverity,
    score: $VulnerabilityScore
))`,
	"package.*": `$ToJson(%(
    package: $PackageId,
    version: $PackageVersion,
    event: $WebhookEvent,
    user: $UserName,
    feed: $FeedName
))`,
}

func TestProGetsDefaultContentsAreWrittenAsTheFormatWritesThem(t *testing.T) {
	t.Parallel()
	custom, proget := lookup(t, "custom"), lookup(t, "proget")
	for _, g := range goldens(t, "proget") {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			pattern := g.Event.Type
			if strings.HasPrefix(pattern, "package.") {
				pattern = "package.*"
			}
			imported, err := formats.ImportProGet(proGetDefaults[pattern], "")
			require.NoError(t, err)
			require.Empty(t, imported.Unconverted)
			options := json.RawMessage(jsonOf(t, map[string]any{"content": imported.Content, "content_type": imported.ContentType}))
			kept, err := custom.Prepare(options, []string{pattern})
			require.NoError(t, err)
			got, err := custom.Render(formats.Request{Event: g.Event, Options: kept})
			require.NoError(t, err)
			want, err := proget.Render(formats.Request{Event: g.Event})
			require.NoError(t, err)
			require.Equal(t, string(want.Body), string(got.Body))
			require.JSONEq(t, string(g.Body), string(got.Body))
			require.Equal(t, want.ContentType, got.ContentType)
		})
	}
}

func TestOtterScriptIsConverted(t *testing.T) {
	t.Parallel()
	custom := lookup(t, "custom")
	for name, c := range map[string]struct{ content, contentType, want string }{
		"variables in a text":   {"$VulnerabilityId ($VulnerabilityScore) for ${UserName}.", "text/plain", "PGV-1 (7.50) for anna."},
		"backticks":             {"`$5 ``x`` <`% y`n", "text/plain", "$5 `x` <% y\n"},
		"a loop":                {"Affected:\n<% foreach %p in @AffectedPackages { %>\n- $p.Name [$p.AffectedVersions]\n<% } %>\nBye", "text/plain", "Affected:\n- nuget:A []\n- nuget:B []\nBye"},
		"a choice":              {"<% if $VulnerabilitySeverity != High && $UserName == anna { %>odd<% } else { %>even<% } %>!", "text/plain", "odd!"},
		"a comparison":          {"<% if $Compare($VulnerabilityScore, >=, 7) { %>bad<% } %>", "text/plain", "bad"},
		"a regular expression":  {`<% if $MatchesRegex($VulnerabilityId, "^PGV") { %>PGV<% } %>`, "text/plain", "PGV"},
		"functions":             {"$Coalesce($VulnerabilitySummary, $VulnerabilityId, x) $ListCount(@AffectedPackages) $FeedName()", "text/plain", "PGV-1 2 "},
		"JSON with variables":   {`{"text": "$VulnerabilityId: $JSEncode($VulnerabilitySeverity)"}`, "", `{"text":"PGV-1: <High> & \"up\""}`},
		"texts and lists":       {`$ToJson(%(a: New $VulnerabilityId!, "b": "x, $UserName", c: @(1, $UserName), d: %(e: 'y')))`, "", `{"a":"New PGV-1!","b":"x, anna","c":["1","anna"],"d":{"e":"y"}}`},
		"a literal of ours":     {"`${x} $UserName", "text/plain", "${x} anna"},
		"HTML":                  {"<p>$HtmlEncode($VulnerabilitySeverity)</p>", "text/html", "<p>&lt;High&gt; &amp; &#34;up&#34;</p>"},
		"quotes in expressions": {"<% if $UserName == anna { %>it's \"\\\" $UserName<% } %>", "text/plain", `it's "\" anna`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			imported, err := formats.ImportProGet(c.content, c.contentType)
			require.NoError(t, err)
			require.Empty(t, imported.Unconverted, "%s", imported.Content)
			options := json.RawMessage(jsonOf(t, map[string]any{"content": imported.Content, "content_type": imported.ContentType}))
			kept, err := custom.Prepare(options, nil)
			require.NoError(t, err, "%s", imported.Content)
			payload, err := custom.Render(formats.Request{Event: vulnerable(), Options: kept})
			require.NoError(t, err, "%s", imported.Content)
			require.Equal(t, c.want, string(payload.Body), "%s", imported.Content)
		})
	}
}

func TestWhatCannotBeConvertedIsReported(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]formats.Unconverted{
		"x\n $WebBaseUrl/y":                                  {Line: 2, Column: 2, Text: "$WebBaseUrl", Why: "the event does not say where its registry is; write the address itself"},
		"$MyApiKey":                                          {Line: 1, Column: 1, Text: "$MyApiKey", Why: "it is none of ProGet's own variables; write its value, or take a secret from the endpoint's headers"},
		"a $PackageProperty(license, none)":                  {Line: 1, Column: 3, Text: "$PackageProperty(license, none)", Why: "an event has no properties of that kind; data['key'] reads a key that the producer sends"},
		"$PackageHash(hex, SHA256)":                          {Line: 1, Column: 1, Text: "$PackageHash(hex, SHA256)", Why: "its arguments have no counterpart; the value is written as the event has it"},
		"<% foreach %k in @ApiKeys { %>x<% } %>":             {Line: 1, Column: 1, Text: "<% foreach %k in @ApiKeys { %>", Why: "there is no such list in an event"},
		"<% foreach %p in @AffectedPackages { %>x":           {Line: 1, Column: 1, Text: "<% foreach %p in @AffectedPackages { %>", Why: "the loop is not closed"},
		"a <% } %>":                                          {Line: 1, Column: 3, Text: "<% } %>", Why: "there is no block that this ends"},
		"a <% foreach":                                       {Line: 1, Column: 3, Text: "<% foreach", Why: "this tag is not closed"},
		"<% foreach %p in @AffectedPackages { %>$p.X<% } %>": {Line: 1, Column: 40, Text: "$p.X", Why: "the list's elements have no such field"},
	} {
		imported, err := formats.ImportProGet(content, "text/plain")
		require.NoError(t, err)
		require.NotEmpty(t, imported.Unconverted, content)
		require.Equal(t, want, imported.Unconverted[0], content)
	}
	imported, err := formats.ImportProGet(`{"a": [<% foreach %p in @AffectedPackages { %>"$p.Name",<% } %>]}`, "")
	require.NoError(t, err)
	require.Contains(t, imported.Unconverted[0].Why, "a loop cannot write pieces of JSON")
	imported, err = formats.ImportProGet(`$ToJson(%(a: $Nothing, b: $UserName)) x`, "")
	require.NoError(t, err)
	require.Len(t, imported.Unconverted, 2)
	require.JSONEq(t, `{"a":"","b":"${actor}"}`, string(imported.Content))
	_, err = formats.ImportProGet(strings.Repeat("x", 20_000), "")
	require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
}

func FuzzImportProGet(f *testing.F) {
	for _, content := range proGetDefaults {
		f.Add(content)
	}
	for _, content := range []string{"<% foreach %p in @AffectedPackages { %>$p.Name<% } %>", "<% if ($A == `) { %>x<% } else { %>", "$ToJson(%(a:@(%(", "`", "$", "${x}", "$Coalesce(", "'$"} {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content string) {
		for _, contentType := range []string{"", "text/plain"} {
			imported, err := formats.ImportProGet(content, contentType)
			if err != nil {
				return
			}
			if !json.Valid(imported.Content) {
				t.Fatalf("%q: %s", content, imported.Content)
			}
		}
	})
}
