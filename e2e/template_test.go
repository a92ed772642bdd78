package e2e

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

func TestSubscriptionsLayOutTheirOwnPayloads(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		content := map[string]any{"text": "${actor} published ${data.package}", "version": "${data.version}", "size": "${data.size}"}
		preview, err := i.client.PreviewTemplate(t.Context(), client.NewPreview{Content: content, EventType: "package.deleted"})
		require.NoError(t, err)
		require.NotNil(t, preview.Payload)
		require.JSONEq(t, `{"text":"maartenba published GoogleAnalyticsTracker.Core","version":"1.0.0-CI00002","size":null}`, *preview.Payload)

		_, err = i.client.CreateSubscription(t.Context(), client.Subscription{
			Name: "misspelt", EventTypes: []string{"package.added"}, Channel: "webhook", Endpoint: client.Webhook{URL: i.hook + "/x"},
			Format: "custom", FormatOptions: json.RawMessage(`{"content":{"v":"${data.versoin}"}}`),
		})
		require.Equal(t, carillon.CodeInvalid, client.CodeOf(err))
		require.ErrorContains(t, err, "/format_options/content/v package.added has no field data.versoin; did you mean version?")

		options, err := json.Marshal(map[string]any{"content": content})
		require.NoError(t, err)
		document := i.subscribe("/json", func(s *client.Subscription) {
			s.EventTypes, s.Format, s.FormatOptions = []string{"package.added"}, "custom", options
			s.Endpoint = client.Webhook{
				URL: i.hook + "/json?feed=${scope.feed}&v=${data.version}", Headers: map[string]string{"X-Package": "${data.package}"},
			}
		})
		text := i.subscribe("/text", func(s *client.Subscription) {
			s.EventTypes, s.Format = []string{"package.added"}, "custom"
			s.FormatOptions = json.RawMessage(`{"content":"New: ${data.package}\n${data.version}"}`)
		})
		broken := i.subscribe("/broken", func(s *client.Subscription) {
			s.Format, s.FormatOptions = "custom", json.RawMessage(`{"content":{"n":"${int(data.package)}"}}`)
		})

		event := added("1")
		event.Data = map[string]any{"package": "My\"Corp\"\nX", "version": "3&2"}
		accepted := i.publish(event)
		i.awaitDelivery(accepted.ID, document.ID, carillon.Succeeded)
		request := i.requests("/json", 1)[0]
		require.Equal(t, `{"size":null,"text":"maartenba published My\"Corp\"\nX","version":"3&2"}`, string(request.Body))
		require.Equal(t, "application/json", request.Header.Get("Content-Type"))
		require.Equal(t, `My"Corp" X`, request.Header.Get("X-Package"))
		require.NoError(t, client.Verify([]string{document.Secret()}, request.Header, request.Body))

		i.awaitDelivery(accepted.ID, text.ID, carillon.Succeeded)
		request = i.requests("/text", 1)[0]
		require.Equal(t, "New: My\"Corp\" X\n3&2", string(request.Body))
		require.Equal(t, "text/plain; charset=utf-8", request.Header.Get("Content-Type"))

		failed := i.awaitDelivery(accepted.ID, broken.ID, carillon.Failed)
		require.Equal(t, []carillon.Outcome{carillon.OutcomeReject}, outcomes(failed))
		require.Contains(t, failed.Error, "the template has no result for this event: /n, line 1, column 6")
	})
}
