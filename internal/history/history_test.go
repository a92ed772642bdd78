package history_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/history"
)

// recorded answers with the histories that the workflows' tests replay.
type recorded struct {
	client.Client
	file string
	err  error
}

func (r recorded) GetWorkflowHistory(
	context.Context, string, string, bool, enumspb.HistoryEventFilterType,
) client.HistoryEventIterator {
	if r.err != nil {
		return &iterator{err: r.err}
	}
	f, err := os.Open(filepath.Join("../../workflows/testdata/histories", r.file))
	if err != nil {
		return &iterator{err: err}
	}
	h, err := client.HistoryFromJSON(f, client.HistoryJSONOptions{})
	return &iterator{events: h.GetEvents(), err: err}
}

type iterator struct {
	events []*historypb.HistoryEvent
	err    error
}

func (i *iterator) HasNext() bool { return len(i.events) > 0 || i.err != nil }

func (i *iterator) Next() (*historypb.HistoryEvent, error) {
	if i.err != nil {
		return nil, i.err
	}
	event := i.events[0]
	i.events = i.events[1:]
	return event, nil
}

var run = carillon.Run{WorkflowID: "event/evt_1", RunID: "the owner"}

func reader(t *testing.T, c client.Client) *history.Reader {
	t.Helper()
	r, err := history.NewReader(c, converter.GetDefaultDataConverter())
	require.NoError(t, err)
	return r
}

func TestAttemptsAreReadFromMarkersAndFromActivities(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file         string
		subscription string
		want         []carillon.Outcome
	}{
		{"healthy.json", "sub_a", []carillon.Outcome{"delivered"}},
		{"healthy.json", "sub_unknown", nil},
		{"recovered.json", "sub_a", []carillon.Outcome{"retry", "retry", "delivered"}},
		{"recovered.json", "sub_b", []carillon.Outcome{"delivered"}},
		{"exhausted.json", "sub_a", []carillon.Outcome{"retry", "retry", "retry"}},
		{"gone.json", "sub_a", []carillon.Outcome{"gone"}},
		{"broke-off.json", "sub_a", []carillon.Outcome{"retry", "retry", "delivered"}},
		{"throttled.json", "sub_a", []carillon.Outcome{"throttled", "delivered"}},
		{"no-match.json", "sub_a", nil},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.subscription, func(t *testing.T) {
			t.Parallel()
			attempts, err := reader(t, recorded{file: tt.file}).Attempts(t.Context(), run, "evt_1", tt.subscription)
			require.NoError(t, err)
			var got []carillon.Outcome
			for _, a := range attempts {
				got = append(got, a.Outcome)
				require.Equal(t, tt.subscription, a.SubscriptionID)
				require.NotZero(t, a.StartedAt)
				require.Positive(t, a.Number)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestAttemptThatLostItsWorkerIsInTheList(t *testing.T) {
	t.Parallel()
	attempts, err := reader(t, recorded{file: "broke-off.json"}).Attempts(t.Context(), run, "evt_1", "sub_a")
	require.NoError(t, err)
	require.Len(t, attempts, 3)
	require.Equal(t, 2, attempts[1].Number)
	require.Contains(t, attempts[1].Error, "the attempt broke off")
}

func TestPublicationIsTheEventAsItWasPosted(t *testing.T) {
	t.Parallel()
	pub, err := reader(t, recorded{file: "healthy.json"}).Publication(t.Context(), run, "evt_1")
	require.NoError(t, err)
	require.Equal(t, "evt_1", pub.Event.ID)
	require.JSONEq(t, `{"package":"MyCorp.CoolUtils","version":"3.2.0"}`, string(pub.Event.Data))
	require.Equal(t, int64(7), pub.ConfigVersion)
}

func TestReadErrorsSayWhetherTheHistoryIsGoneOrTheServerAway(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want carillon.Code
	}{
		{"history removed", serviceerror.NewNotFound("workflow execution not found"), carillon.CodeExpired},
		{"server away", serviceerror.NewUnavailable("connection refused"), carillon.CodeUnavailable},
		{"no answer in time", context.DeadlineExceeded, carillon.CodeUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := reader(t, recorded{err: tt.err})
			_, err := r.Attempts(t.Context(), run, "evt_1", "sub_a")
			require.Equal(t, tt.want, carillon.CodeOf(err))
			_, err = r.Publication(t.Context(), run, "evt_1")
			require.Equal(t, tt.want, carillon.CodeOf(err))
		})
	}
}
