package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	all, err := answering(t, exchange{method: "GET", target: "/v1/formats", status: 200, golden: "formats"}).Formats(t.Context())
	require.NoError(t, err)
	names := map[string]int{}
	for i, f := range all {
		names[f.Name] = i
	}
	myGet := all[names["myget"]]
	require.Equal(t, "ping", myGet.EventTypes[len(myGet.EventTypes)-1].Type)
	require.Equal(t, "PingWebHookEventPayloadV1", myGet.EventTypes[len(myGet.EventTypes)-1].Name)
	require.Equal(t, "content_type", myGet.Options[0].Name)
	require.Equal(t, "X-CodeScoring-Authentication", all[names["codescoring"]].TokenHeader)
}
