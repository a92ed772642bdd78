package activities_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/receiver"
)

var sharedRun = carillon.Run{WorkflowID: "batch/1", RunID: "shared-run"}

// batchOf accepts n events called prefix-0, prefix-1 and so on.
func (b *bundle) batchOf(t *testing.T, prefix string, n int) []carillon.Publication {
	t.Helper()
	pubs := make([]carillon.Publication, n)
	for i := range pubs {
		event := added(`{"package":"MyCorp.CoolUtils","version":"3.2.0"}`)
		event.ID = fmt.Sprintf("evt_%s_%d", prefix, i)
		pubs[i] = *b.accept(t, event)
	}
	return pubs
}

func TestRouteBatchClaimsAllEventsAndReadsThemBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_1", nil)
		b.subscribe(t, "sub_2", func(s *carillon.Subscription) { s.State = carillon.Paused })
		b.subscribe(t, "sub_3", func(s *carillon.Subscription) { s.EventTypes = []string{"build.*"} })
		pubs := b.batchOf(t, "a", 3)
		// Another run has the second, and under the third's id another event.
		_, err := b.Route(t.Context(), activities.RouteInput{Run: carillon.Run{WorkflowID: "event/1", RunID: "1"}, Publication: &pubs[1]})
		require.NoError(t, err)
		other := pubs[2]
		other.Fingerprint = "another"
		_, err = b.Route(t.Context(), activities.RouteInput{Run: carillon.Run{WorkflowID: "event/2", RunID: "2"}, Publication: &other})
		require.NoError(t, err)
		pubs = append(pubs, b.batchOf(t, "b", 1)...)
		pubs = append(pubs, pubs[0]) // twice in one run

		in := activities.RouteBatchInput{Run: sharedRun, Publications: pubs}
		out, err := b.RouteBatch(t.Context(), in)
		require.NoError(t, err)
		require.Len(t, out.Plans, 2)
		require.Equal(t, carillon.DefaultRetry().Schedule, out.Plans[0].Delays, "without jitter")
		require.Equal(t, []activities.Routed{
			{Pending: []int{0}, Held: []int{1}, Jitter: 0.5},
			{Duplicate: true},
			{Duplicate: true, Conflict: true},
			{Pending: []int{0}, Held: []int{1}, Jitter: 0.5},
			{Duplicate: true},
		}, out.Events)
		row, err := b.store.Event(t.Context(), pubs[0].Event.ID)
		require.NoError(t, err)
		require.Equal(t, sharedRun, row.Run)

		// Interrupted, it reads back what it wrote, as far as that came.
		_, err = b.Record(t.Context(), activities.RecordInput{Owner: sharedRun.RunID, Rows: []activities.Row{
			{EventID: pubs[0].Event.ID, Subscription: "sub_1", State: carillon.Succeeded, Attempts: 1},
			{EventID: pubs[3].Event.ID, Subscription: "sub_1", State: carillon.Pending, MovedTo: "event/x/retry"},
		}})
		require.NoError(t, err)
		b.subscribe(t, "sub_4", nil)
		out, err = b.RouteBatch(t.Context(), in)
		require.NoError(t, err)
		require.Empty(t, out.Plans)
		require.True(t, out.Events[1].Duplicate)
		states := func(n int) (states []carillon.DeliveryState) {
			for _, plan := range out.Events[n].ReadBack {
				states = append(states, plan.State)
			}
			return states
		}
		require.Equal(t, []carillon.DeliveryState{carillon.Succeeded, carillon.Held}, states(0))
		require.Equal(t, []carillon.DeliveryState{carillon.Pending, carillon.Held}, states(3))
		d, err := b.store.Delivery(t.Context(), pubs[3].Event.ID, "sub_1")
		require.NoError(t, err)
		require.Equal(t, carillon.Run{WorkflowID: "event/x/retry", RunID: sharedRun.RunID}, d.Run)
	})
}

func TestRouteBatchReadsItsEventsFromTheHistory(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_1", nil)
		b.histories.batches = map[carillon.Run][]carillon.Publication{sharedRun: b.batchOf(t, "a", 2)}
		out, err := b.RouteBatch(t.Context(), activities.RouteBatchInput{Run: sharedRun})
		require.NoError(t, err)
		require.Len(t, out.Events, 2)
		require.Equal(t, []int{0}, out.Events[1].Pending)
	})
}

func TestALargeFanOutOfASharedRunGoesToPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		for i := range 15 {
			b.subscribe(t, fmt.Sprintf("sub_%03d", i), nil)
		}
		// 66 events with 15 deliveries each are 990: the rest has no room.
		pubs := b.batchOf(t, "a", 68)
		out, err := b.RouteBatch(t.Context(), activities.RouteBatchInput{Run: sharedRun, Publications: pubs})
		require.NoError(t, err)
		for i, event := range out.Events {
			require.Equal(t, i >= 66, event.Paged, i)
		}
		for i := range 90 {
			b.subscribe(t, fmt.Sprintf("sub_%03d", 100+i), nil)
		}
		pubs = b.batchOf(t, "b", 1)
		out, err = b.RouteBatch(t.Context(), activities.RouteBatchInput{Run: sharedRun, Publications: pubs})
		require.NoError(t, err)
		require.Equal(t, []activities.Routed{{Paged: true, Jitter: 0.5}}, out.Events)
		rows, err := b.store.EventDeliveries(t.Context(), pubs[0].Event.ID, "", 200)
		require.NoError(t, err)
		require.Len(t, rows, 105)
		for i, row := range rows {
			require.Equal(t, activities.PageWorkflowID("event/"+pubs[0].Event.ID, i/activities.PageSize+1), row.Run.WorkflowID)
		}
	})
}

func TestAttemptBatchAnswersWithinItsBounds(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.hooks.Script("/hook", receiver.Reply{Body: strings.Repeat("\x01", carillon.MaxExcerptBytes)})
	var tries []activities.Try
	const events, subscriptions = 40, 10
	for s := range subscriptions {
		b.subscribe(t, fmt.Sprintf("sub_%d", s), nil)
		for e := range events {
			tries = append(tries, activities.Try{Event: e, Subscription: fmt.Sprintf("sub_%d", s)})
		}
	}
	in := activities.AttemptBatchInput{Run: sharedRun, Publications: b.batchOf(t, "a", events), Tries: tries}
	type key struct{ event, subscription string }
	made := map[key]bool{}
	rounds := 0
	for len(in.Tries) > 0 {
		rounds++
		out, err := b.AttemptBatch(t.Context(), in)
		require.NoError(t, err)
		require.NotEmpty(t, out.Attempts)
		answer, err := json.Marshal(out)
		require.NoError(t, err)
		require.Less(t, len(answer), 2<<20, "Temporal takes no more as one payload")
		for _, a := range out.Attempts {
			require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
			require.False(t, made[key{a.EventID, a.SubscriptionID}], "tried twice")
			made[key{a.EventID, a.SubscriptionID}] = true
		}
		var left []activities.Try
		for _, try := range in.Tries {
			if !made[key{in.Publications[try.Event].Event.ID, try.Subscription}] {
				left = append(left, try)
			}
		}
		in.Tries = left
	}
	require.Len(t, made, events*subscriptions)
	require.Greater(t, rounds, 1, "the answers are large")
}

func TestTheBrakeOfASharedRunLetsSomeGoAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_1", func(s *carillon.Subscription) {
			s.Channel, s.Endpoint, s.MaxPerMinute = "alert", carillon.Endpoint(`{"owner":""}`), 2
		})
		in := activities.RouteBatchInput{Run: sharedRun, Publications: b.batchOf(t, "a", 5)}
		out, err := b.RouteBatch(t.Context(), in)
		require.NoError(t, err)
		var gathered []bool
		for _, routed := range out.Events {
			require.Len(t, routed.Pending, 1)
			gathered = append(gathered, out.Plans[routed.Pending[0]].Gathered)
		}
		require.Equal(t, []bool{false, false, true, true, true}, gathered)
		look, err := b.Gather(t.Context(), activities.GatherInput{Subscription: "sub_1", Take: true})
		require.NoError(t, err)
		require.Len(t, look.Rows, 3)
		require.True(t, look.Summed)
	})
}
