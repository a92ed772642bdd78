package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

func preview(body string) call {
	return call{method: http.MethodPost, path: "/v1/templates/preview", body: body}
}

func TestPreviewOnAnExampleAPostedAndAPastEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.keep(published())
	for name, c := range map[string]struct{ body, contentType, payload, id string }{
		"the catalog's example": {
			`{"content": {"id": "${data.vulnerability_id}", "score": "${data.score}"}, "event_type": "sca.vulnerability_detected"}`,
			"application/json", `{"id":"PGV-2245804","score":7.5}`, "",
		},
		"a posted event": {
			`{"content": "${data.package} by ${actor}", "event": {"type": "package.added", "source": "s", "actor": "anna", "data": {"package": "p"}}}`,
			"text/plain; charset=utf-8", "p by anna", "",
		},
		"a past event": {
			`{"content": "<b>${data.package}</b>", "content_type": "text/html", "event_id": "evt_1"}`, "text/html", "<b>MyCorp.CoolUtils</b>", "evt_1",
		},
		"for Slack": {
			`{"content": {"text": "${actor}"}, "escape": "slack", "event": {"type": "ping", "source": "s", "actor": "<!channel>", "data": {}}}`,
			"application/json", `{"text":"&lt;!channel&gt;"}`, "",
		},
	} {
		v := decode[previewView](t, b.ok(t, http.StatusOK, preview(c.body)))
		require.Nil(t, v.Error, name)
		require.Equal(t, c.contentType, v.ContentType, name)
		require.NotNil(t, v.Payload, name)
		require.Equal(t, c.payload, *v.Payload, name)
		if c.id != "" {
			require.Equal(t, c.id, v.Event.ID)
		}
	}
}

func TestPreviewSaysWhereATemplateHasNoResult(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v := decode[previewView](t, b.ok(t, http.StatusOK, preview(
		`{"content": {"a": ["x", "n\n${int(data.package)}"]}, "event": {"type": "package.added", "source": "s", "data": {"package": "p"}}}`)))
	require.Nil(t, v.Payload)
	require.Equal(t, &previewErrorView{Detail: v.Error.Detail, Pointer: "/content/a/1", Line: 2, Column: 6}, v.Error)
	require.NotEmpty(t, v.Error.Detail)
}

func TestPreviewRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ping := `"event": {"type": "ping", "source": "s", "data": {}}`
	for body, want := range map[string]carillon.Problem{
		`{` + ping + `}`:   {Pointer: "/content"},
		`{"content": "x"}`: {Pointer: "/event"},
		`{"content": "x", "event_type": "ping", ` + ping + `}`:        {Pointer: "/event"},
		`{"content": "x", "event_type": "pong"}`:                      {Pointer: "/event_type"},
		`{"content": "x", "event": {"type": "ping"}}`:                 {Pointer: "/event/source"},
		`{"content": "x", "contnt": 1, ` + ping + `}`:                 {Pointer: "/contnt"},
		`{"content": "x", "content_type": "image/png", ` + ping + `}`: {Pointer: "/content_type"},
		`{"content": {"a": "x\n${data.pakage}"}, "event_type": "package.added"}`: {
			Pointer: "/content/a", Line: 2, Column: 7, Detail: "package.added has no field data.pakage; did you mean package?",
		},
		`{"content": "x ${actr}", ` + ping + `}`: {Pointer: "/content", Line: 1, Column: 5},
	} {
		v := b.problem(t, http.StatusUnprocessableEntity, preview(body))
		require.NotEmpty(t, v.Errors, body)
		require.Equal(t, want.Pointer, v.Errors[0].Pointer, body)
		require.Equal(t, want.Line, v.Errors[0].Line, body)
		require.Equal(t, want.Column, v.Errors[0].Column, body)
		require.Contains(t, v.Errors[0].Detail, want.Detail, body)
	}
	b.ok(t, http.StatusNotFound, preview(`{"content": "x", "event_id": "evt_none"}`))
	large := `{"content": "` + strings.Repeat("x", maxTemplateBytes) + `", "event_type": "ping"}`
	b.ok(t, http.StatusRequestEntityTooLarge, preview(large))
}

func TestImportOfAProGetContent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	importing := func(body string) call {
		return call{method: http.MethodPost, path: "/v1/templates/import/proget", body: body}
	}
	v := decode[formats.ImportedTemplate](t, b.ok(t, http.StatusOK, importing(
		`{"content": "$ToJson(%(\n  package: $PackageId,\n  at: $WebBaseUrl\n))"}`)))
	require.JSONEq(t, `{"package": "${string(data.package)}", "at": ""}`, string(v.Content))
	require.Equal(t, "application/json", v.ContentType)
	require.Equal(t, []formats.Unconverted{{
		Line: 3, Column: 7, Text: "$WebBaseUrl", Why: "the event does not say where its registry is; write the address itself",
	}}, v.Unconverted)
	// What is answered can be saved as it is, but for the report.
	options, err := json.Marshal(map[string]any{"content": v.Content, "content_type": v.ContentType})
	require.NoError(t, err)
	b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/subscriptions", body: `{"name": "n", "event_types": ["package.*"],
		"channel": "webhook", "endpoint": {"url": "https://hooks.example.com/x"}, "format": "custom", "format_options": ` + string(options) + `}`})
	for _, body := range []string{`{}`, `{"content": ""}`, `{"content": 1}`, `{"content": "x", "y": 1}`, `[]`} {
		b.ok(t, http.StatusUnprocessableEntity, importing(body))
	}
}

func TestSavingATemplateChecksItAgainstTheEventTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	create := func(rest string) call {
		return call{method: http.MethodPost, path: "/v1/subscriptions", body: `{"name": "n", "event_types": ["package.added"], "channel": "webhook", ` + rest + `}`}
	}
	hook := `"endpoint": {"url": "https://hooks.example.com/x"}`
	b.ok(t, http.StatusCreated, create(hook+`, "format": "custom", "format_options": {"content": {"p": "${data.package}"}}`))
	b.ok(t, http.StatusCreated, create(`"endpoint": {"url": "https://hooks.example.com/${data.package}?v=${data.version}", "headers": {"X-Feed": "${scope.feed}"}}`))
	for rest, want := range map[string]carillon.Problem{
		hook + `, "format": "custom"`: {Pointer: "/format_options/content"},
		hook + `, "format": "custom", "format_options": {"content": {"p": "x ${data.pakage}"}}`: {
			Pointer: "/format_options/content/p", Line: 1, Column: 9, Detail: "package.added has no field data.pakage; did you mean package?",
		},
		`"endpoint": {"url": "https://hooks.example.com/${data.pakage}"}`: {
			Pointer: "/endpoint/url", Line: 1, Column: 33, Detail: "package.added has no field data.pakage; did you mean package?",
		},
		`"endpoint": {"url": "https://${scope.feed}.example.com/"}`: {Pointer: "/endpoint/url", Line: 1, Column: 9, Detail: "scheme and host must be written out"},
		`"endpoint": {"url": "https://hooks.example.com/", "headers": {"X-Feed": "s3cr3t ${scope.fed}"}}`: {
			Pointer: "/endpoint/headers/X-Feed", Line: 1, Column: 15, Detail: "does not compile for the event types",
		},
	} {
		v := b.problem(t, http.StatusUnprocessableEntity, create(rest))
		require.NotEmpty(t, v.Errors, rest)
		p := v.Errors[0]
		require.Equal(t, want.Pointer, p.Pointer, rest)
		require.Equal(t, []int{want.Line, want.Column}, []int{p.Line, p.Column}, rest)
		require.Contains(t, p.Detail, want.Detail, rest)
		require.NotContains(t, p.Detail, "s3cr3t")
	}
}

func TestTemplateAnswersAreThoseThatTheClientReads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	golden(t, "template_preview", b.ok(t, http.StatusOK, preview(`{"content":{"text":"${data.package}"},"event_type":"package.added"}`)))
	golden(t, "template_no_result", b.ok(t, http.StatusOK, preview(
		`{"content":"${int(actor)}","content_type":"text/plain","event":{"type":"ping","source":"s","actor":"x","id":"1","data":{}}}`)))
	golden(t, "template_import", b.ok(t, http.StatusOK, call{
		method: http.MethodPost, path: "/v1/templates/import/proget", body: `{"content":"$ToJson(%(at: $WebBaseUrl, package: $PackageId))"}`,
	}))
}
