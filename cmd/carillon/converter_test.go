package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
)

func TestAPayloadReadsAsItWasPosted(t *testing.T) {
	t.Parallel()
	text := map[string]string{"description": strings.Repeat("<&>", 100)}
	payload, err := newDataConverter().ToPayload(text)
	require.NoError(t, err)
	require.JSONEq(t, `{"description":"`+text["description"]+`"}`, string(payload.GetData()))
	require.Less(t, len(payload.GetData()), 400)
	for name, reads := range map[string]converter.DataConverter{
		"Temporal's own": converter.GetDefaultDataConverter(), "ours": newDataConverter(),
	} {
		var got map[string]string
		require.NoError(t, reads.FromPayload(payload, &got), name)
		require.Equal(t, text, got, name)
	}
	_, err = newDataConverter().ToPayload(func() {})
	require.Error(t, err)
}
