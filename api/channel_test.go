package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChannelsDescribeTheirFields(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/channels"})
	golden(t, "channels", body)
	list := decode[page[channelView]](t, body)
	require.Len(t, list.Items, len(b.deps.Channels))
	for _, c := range list.Items {
		sender, ok := b.deps.Channels[c.Name]
		require.True(t, ok)
		require.Equal(t, sender.Describe().Title, c.Title)
		requireDescribed(t, c.Name, c.Fields)
	}
}

func requireDescribed(t *testing.T, of string, fields []fieldView) {
	t.Helper()
	require.NotEmpty(t, fields, of)
	for _, f := range fields {
		at := of + "." + f.Name
		require.NotEmpty(t, f.Description, at)
		switch f.Type {
		case "object", "objects":
			requireDescribed(t, at, f.Fields)
		case "text", "long_text", "url", "integer", "boolean", "duration", "texts", "secrets":
			require.Empty(t, f.Fields, at)
		default:
			t.Errorf("%s is a %s", at, f.Type)
		}
		if f.Required && f.Values == nil && f.Type != "object" && !f.Secret {
			require.NotEmpty(t, f.Example, at+" is asked for without an example")
		}
	}
}
