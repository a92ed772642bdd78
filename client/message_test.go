package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

func TestPreviewMessage(t *testing.T) {
	t.Parallel()
	p, err := answering(t, exchange{
		method: "POST", target: "/v1/messages/preview", status: 200, golden: "message_preview",
		body: `{"channel":"pager","endpoint":{"message":{"title":"${int(actor)}"}},"event_type":"package.added"}`,
	}).PreviewMessage(t.Context(), client.NewMessagePreview{
		Channel: "pager", Endpoint: map[string]any{"message": map[string]string{"title": "${int(actor)}"}}, EventType: "package.added",
	})
	require.NoError(t, err)
	require.Equal(t, "GoogleAnalyticsTracker.WP8 1.0.0-CI00002 was added to sample-feed by maartenba", p.Title)
	require.Equal(t, "Tracks page views from C#.", p.Text)
	require.Equal(t, client.MessageFact{Label: "Package", Value: "GoogleAnalyticsTracker.WP8"}, p.Facts[0])
	require.NotNil(t, p.Link)
	require.Equal(t, "View the package", p.Link.Label)
	require.NotEmpty(t, p.Link.URL)
	require.Equal(t, "neutral", p.Level)
	require.Equal(t, "package:nuget/GoogleAnalyticsTracker.WP8", p.Topic)
	require.Equal(t, "package.added", p.Event.Type)
	require.Equal(t, []carillon.Problem{{Pointer: "/endpoint/message/title", Line: 1, Column: 6, Detail: p.Errors[0].Detail}}, p.Errors)
}
