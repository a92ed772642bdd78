package history_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/carillon-dev/carillon"
)

var gatherRun = carillon.Run{WorkflowID: carillon.GatherWorkflowID("sub_a"), RunID: "second"}

func TestAttemptsOfABatchAreEachOfItsEvents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file, event string
		want        []carillon.Outcome
	}{
		{"gather.json", "evt_2", []carillon.Outcome{"delivered"}},
		{"gather.json", "evt_unknown", nil},
		{"gather-retry.json", "evt_1", []carillon.Outcome{"retry", "throttled", "delivered"}},
		{"gather-exhausted.json", "evt_2", []carillon.Outcome{"retry", "retry", "retry"}},
		{"gather-poison.json", "evt_000", []carillon.Outcome{"retry", "delivered"}},
		{"gather-poison.json", "evt_003", []carillon.Outcome{"retry", "retry", "retry"}},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.event, func(t *testing.T) {
			t.Parallel()
			attempts, err := reader(t, recorded{file: tt.file}).Attempts(t.Context(), gatherRun, tt.event, "sub_a")
			require.NoError(t, err)
			var got []carillon.Outcome
			for _, a := range attempts {
				got = append(got, a.Outcome)
				require.Equal(t, tt.event, a.EventID)
				require.Equal(t, "sub_a", a.SubscriptionID)
				require.Positive(t, a.Number)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// chain is a recorded history as if it had gone on in a second run after its
// first request.
type chain struct {
	client.Client
	first, second []*historypb.HistoryEvent
	// gone says that the first run's history was removed.
	gone bool
}

func (c chain) GetWorkflowHistory(
	_ context.Context, _, runID string, _ bool, _ enumspb.HistoryEventFilterType,
) client.HistoryEventIterator {
	switch {
	case runID == "second":
		return &iterator{events: c.second}
	case runID == "first" && !c.gone:
		return &iterator{events: c.first}
	}
	return &iterator{err: serviceerror.NewNotFound("workflow execution not found")}
}

func TestAttemptsOfABatchAreReadBackAlongTheChain(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join("../../workflows/testdata/histories", "gather-retry.json"))
	require.NoError(t, err)
	h, err := client.HistoryFromJSON(f, client.HistoryJSONOptions{})
	require.NoError(t, err)
	events := h.GetEvents()
	cut := 1 + slices.IndexFunc(events, func(e *historypb.HistoryEvent) bool {
		return e.GetEventType() == enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
	})
	require.Positive(t, cut)
	started := &historypb.HistoryEvent{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
			WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{ContinuedExecutionRunId: "first"},
		},
	}
	c := chain{first: events[:cut], second: append([]*historypb.HistoryEvent{started}, events[cut:]...)}
	for _, gone := range []bool{false, true} {
		c.gone = gone
		attempts, err := reader(t, c).Attempts(t.Context(), gatherRun, "evt_1", "sub_a")
		require.NoError(t, err)
		if gone {
			require.Len(t, attempts, 2, "what is still there")
			continue
		}
		require.Len(t, attempts, 3)
		require.Equal(t, []int{1, 2, 2}, []int{attempts[0].Number, attempts[1].Number, attempts[2].Number})
	}
}
