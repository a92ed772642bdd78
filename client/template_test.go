package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

func TestPreviewTemplate(t *testing.T) {
	t.Parallel()
	p, err := answering(t, exchange{
		method: "POST", target: "/v1/templates/preview", status: 200, golden: "template_preview",
		body: `{"content":{"text":"${data.package}"},"event_type":"package.added"}`,
	}).PreviewTemplate(t.Context(), client.NewPreview{Content: map[string]any{"text": "${data.package}"}, EventType: "package.added"})
	require.NoError(t, err)
	require.Equal(t, "application/json", p.ContentType)
	require.NotNil(t, p.Payload)
	require.Equal(t, `{"text":"GoogleAnalyticsTracker.WP8"}`, *p.Payload)
	require.Equal(t, "package.added", p.Event.Type)

	p, err = answering(t, exchange{
		method: "POST", target: "/v1/templates/preview", status: 200, golden: "template_no_result",
		body: `{"content":"${int(actor)}","content_type":"text/plain","event":{"type":"ping","source":"s","actor":"x","data":{}}}`,
	}).PreviewTemplate(t.Context(), client.NewPreview{
		Content: "${int(actor)}", ContentType: "text/plain", Event: &client.NewEvent{Type: "ping", Source: "s", Actor: "x", Data: map[string]any{}},
	})
	require.NoError(t, err)
	require.Nil(t, p.Payload)
	require.Equal(t, &carillon.Problem{Detail: p.Error.Detail, Pointer: "/content", Line: 1, Column: 6}, p.Error)
}

func TestImportProGetTemplate(t *testing.T) {
	t.Parallel()
	got, err := answering(t, exchange{
		method: "POST", target: "/v1/templates/import/proget", status: 200, golden: "template_import",
		body: `{"content":"$ToJson(%(at: $WebBaseUrl, package: $PackageId))"}`,
	}).ImportProGetTemplate(t.Context(), "$ToJson(%(at: $WebBaseUrl, package: $PackageId))", "")
	require.NoError(t, err)
	require.JSONEq(t, `{"at":"","package":"${string(data.package)}"}`, string(got.Content))
	require.Equal(t, []client.Unconverted{{
		Line: 1, Column: 15, Text: "$WebBaseUrl", Why: "the event does not say where its registry is; write the address itself",
	}}, got.Unconverted)
}
