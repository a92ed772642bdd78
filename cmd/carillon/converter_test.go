package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon/internal/seal"
)

func TestAPayloadReadsAsItWasPosted(t *testing.T) {
	t.Parallel()
	text := map[string]string{"description": strings.Repeat("<&>", 100)}
	payload, err := newPlainConverter().ToPayload(text)
	require.NoError(t, err)
	require.JSONEq(t, `{"description":"`+text["description"]+`"}`, string(payload.GetData()))
	require.Less(t, len(payload.GetData()), 400)
	for name, reads := range map[string]converter.DataConverter{
		"Temporal's own": converter.GetDefaultDataConverter(), "ours": newPlainConverter(),
	} {
		var got map[string]string
		require.NoError(t, reads.FromPayload(payload, &got), name)
		require.Equal(t, text, got, name)
	}
	_, err = newPlainConverter().ToPayload(func() {})
	require.Error(t, err)
}

func TestARunWhoseKeyIsMissingIsNotLost(t *testing.T) {
	t.Parallel()
	key := seal.NewKey()
	sealing, err := seal.NewCodec(key)
	require.NoError(t, err)
	payload, err := newDataConverter(sealing).ToPayload("marked")
	require.NoError(t, err)
	require.NotContains(t, payload.String(), "marked")

	for name, keys := range map[string]string{"without a key": "", "with another": seal.NewKey()} {
		codec, err := seal.NewCodec(keys)
		require.NoError(t, err)
		dc := newDataConverter(codec)
		var text string
		require.ErrorIs(t, dc.FromPayload(payload, &text), seal.ErrUnknownKey, "%s, outside of runs an error is handled", name)
		inWorkflow := dc.(workflow.ContextAware).WithWorkflowContext(nil)
		require.Panics(t, func() { _ = inWorkflow.FromPayload(payload, &text) }, "%s, a task fails and is tried again", name)
		require.Equal(t, dc, dc.(workflow.ContextAware).WithContext(t.Context()))
	}
	opening, err := seal.NewCodec("plain," + key)
	require.NoError(t, err)
	var text string
	require.NoError(t, newDataConverter(opening).(workflow.ContextAware).WithWorkflowContext(nil).FromPayload(payload, &text))
	require.Equal(t, "marked", text)
}

func TestErrorsAreSealedWithThePayloads(t *testing.T) {
	t.Parallel()
	for keys, sealed := range map[string]bool{"": false, "plain," + seal.NewKey(): false, seal.NewKey(): true} {
		codec, err := seal.NewCodec(keys)
		require.NoError(t, err)
		var options client.Options
		encode(&options, codec)
		failure := options.FailureConverter.ErrorToFailure(errors.New("marked"))
		require.Equal(t, sealed, !strings.Contains(failure.String(), "marked"))
		require.ErrorContains(t, options.FailureConverter.FailureToError(failure), "marked")
	}
}
