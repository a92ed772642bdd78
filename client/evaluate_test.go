package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	expression := ""
	e, err := answering(t, exchange{
		method: "POST", target: "/v1/conditions/evaluate", status: 200, golden: "evaluate_no_answer",
		body: `{"event":{"type":"ping","source":"me","data":{}},"expression":"","subscription":"sub_1"}`,
	}).Evaluate(t.Context(), client.Question{
		Event:      &client.NewEvent{Type: "ping", Source: "me", Data: map[string]any{}},
		Expression: &expression, Subscription: "sub_1",
	})
	require.NoError(t, err)
	require.False(t, e.Matched)
	require.Empty(t, e.Delivery)
	require.Equal(t, "condition", e.Reason.Rule)
	require.Equal(t, "failed", e.Reason.Result)
	require.Len(t, e.Rules, 8)
	require.Equal(t, &carillon.Problem{Detail: "data.score: no such key: score", Line: 2, Column: 6}, e.Error)

	e, err = answering(t, exchange{
		method: "POST", target: "/v1/conditions/evaluate", status: 200, golden: "evaluate_changed",
		body: `{"event_id":"evt_1","subscription":"sub_1"}`,
	}).Evaluate(t.Context(), client.Question{EventID: "evt_1", Subscription: "sub_1"})
	require.NoError(t, err)
	require.True(t, e.Matched)
	require.Equal(t, carillon.Pending, e.Delivery)
	require.Contains(t, e.Note, "changed")
	require.Nil(t, e.Error)
}
