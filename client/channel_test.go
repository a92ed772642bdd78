package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChannels(t *testing.T) {
	t.Parallel()
	all, err := answering(t, exchange{method: "GET", target: "/v1/channels", status: 200, golden: "channels"}).Channels(t.Context())
	require.NoError(t, err)
	methods := map[string]string{}
	for _, c := range all {
		require.NotEmpty(t, c.Title)
		require.NotEmpty(t, c.Fields)
		for _, f := range c.Fields {
			if f.Name == "method" {
				methods[c.Name] = string(f.Default)
			}
		}
	}
	require.Equal(t, map[string]string{"webhook": `"POST"`}, methods)
}
