package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChannels(t *testing.T) {
	t.Parallel()
	all, err := answering(t, exchange{method: "GET", target: "/v1/channels", status: 200, golden: "channels"}).Channels(t.Context())
	require.NoError(t, err)
	for _, c := range all {
		require.NotEmpty(t, c.Title)
		require.NotEmpty(t, c.Fields)
	}
	require.Equal(t, "webhook", all[len(all)-1].Name)
	require.JSONEq(t, `"POST"`, string(all[len(all)-1].Fields[1].Default))
}
