package workflows_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

func TestDispatchOfAHealthyEventIsOneAttemptAndOneRecordWithoutTimers(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a", "sub_b"), replies: map[string][]carillon.Attempt{
		"sub_a": {delivered()}, "sub_b": {delivered()},
	}}
	env := newRun(t, s)
	env.SetOnTimerScheduledListener(func(string, time.Duration) { t.Error("a healthy run has no timer") })
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 2}, result(t, env))
	require.Len(t, s.attempts, 2)
	for _, a := range s.attempts {
		require.True(t, a.Local)
		require.True(t, a.HasEvent)
	}
	require.Len(t, s.records, 1, "all rows in one statement")
	require.Len(t, s.records[0].Rows, 2)
	require.Empty(t, s.regular)
	require.Equal(t, carillon.Succeeded, s.last()["sub_a"].State)
	require.Equal(t, 200, s.last()["sub_a"].Status)
}

func TestDispatchTriesAFailingReceiverOverEightySevenHoursAndThenDisablesOnce(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {failing()}}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Failed: 1}, result(t, env))
	var want []time.Duration
	at := time.Duration(0)
	for _, delay := range []time.Duration{
		0, time.Minute, 5 * time.Minute, 30 * time.Minute, 3 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour,
	} {
		at += delay
		want = append(want, at)
	}
	require.Equal(t, want, s.after("sub_a"))
	require.Equal(t, 87*time.Hour+36*time.Minute, at)
	require.Len(t, s.disables, 1)
	disable := s.disables[0]
	require.Equal(t, "sub_a", disable.SubscriptionID)
	require.Equal(t, int64(3), disable.Generation)
	require.Equal(t, 8, disable.Attempts)
	require.False(t, disable.Gone)
	require.Equal(t, start, disable.FirstFailedAt.UTC())
	row := s.last()["sub_a"]
	require.Equal(t, carillon.Failed, row.State)
	require.Equal(t, 8, row.Attempts)
	require.True(t, row.NextAt.IsZero())
	for _, a := range s.attempts[1:] {
		require.False(t, a.Local)
		require.False(t, a.HasEvent, "a recorded input names the event and does not repeat it")
	}
}

func TestDispatchRecoversWhenTheReceiverDoes(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a", "sub_b"), replies: map[string][]carillon.Attempt{
		"sub_a": {failing(), failing(), delivered()}, "sub_b": {delivered()},
	}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 2}, result(t, env))
	require.Equal(t, []time.Duration{0, time.Minute, 6 * time.Minute}, s.after("sub_a"))
	require.Equal(t, []time.Duration{0}, s.after("sub_b"))
	require.Empty(t, s.disables)
	first := s.records[0].Rows[0]
	require.Equal(t, carillon.Retrying, first.State)
	require.Equal(t, start.Add(time.Minute), first.NextAt.UTC())
	require.Equal(t, carillon.Succeeded, s.last()["sub_a"].State)
}

func TestDispatchFinalOutcomes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		reply        carillon.Attempt
		state        carillon.DeliveryState
		wantDisable  bool
		wantAttempts int
	}{
		{"gone disables at once", status(carillon.OutcomeGone, 410), carillon.Failed, true, 1},
		{"reject fails and disables nothing", carillon.Attempt{Outcome: carillon.OutcomeReject, Error: "address not allowed"}, carillon.Failed, false, 1},
		{"a subscription that takes none holds, and no attempt is counted", carillon.Attempt{Outcome: carillon.OutcomeHeld}, carillon.Held, false, 0},
		{"a deleted subscription cancels, and no attempt is counted", carillon.Attempt{Outcome: carillon.OutcomeCanceled}, carillon.Canceled, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {tt.reply}}}
			env := newRun(t, s)
			env.ExecuteWorkflow(workflows.DispatchType, input())
			result(t, env)
			row := s.last()["sub_a"]
			require.Equal(t, tt.state, row.State)
			require.Equal(t, tt.wantAttempts, row.Attempts)
			require.Len(t, s.attempts, 1)
			if tt.wantDisable {
				require.Len(t, s.disables, 1)
				require.True(t, s.disables[0].Gone)
			} else {
				require.Empty(t, s.disables)
			}
		})
	}
}

func TestDispatchRetryAfterMovesTheNextAttemptLaterNeverEarlier(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		asked time.Duration
		want  time.Duration
	}{
		{"shorter than the step is ignored", 5 * time.Second, time.Minute},
		{"longer moves it", 3 * time.Minute, 3 * time.Minute},
		{"at most to the next step", 24 * time.Hour, 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			busy := status(carillon.OutcomeRetry, 429)
			busy.RetryAfter = carillon.Duration(tt.asked)
			s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {busy, delivered()}}}
			env := newRun(t, s)
			env.ExecuteWorkflow(workflows.DispatchType, input())
			result(t, env)
			require.Equal(t, []time.Duration{0, tt.want}, s.after("sub_a"))
		})
	}
}

func TestDispatchDoesNotCountAnAttemptThatCarillonCouldNotMake(t *testing.T) {
	t.Parallel()
	away := carillon.Attempt{Outcome: carillon.OutcomeThrottled, RetryAfter: carillon.Duration(5 * time.Second), Error: "the database is away"}
	short := plans("sub_a")
	short.Plans[0].Delays = []carillon.Duration{carillon.Duration(time.Second)}
	s := &scripted{route: short, replies: map[string][]carillon.Attempt{"sub_a": {away, away, away, away, delivered()}}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
	require.Equal(t, 1, s.last()["sub_a"].Attempts)
	for _, a := range s.attempts {
		require.Equal(t, 1, a.Number)
	}
	require.Empty(t, s.disables)
}

func TestDispatchWaitsLongerEachTimeForAPartThatIsAway(t *testing.T) {
	t.Parallel()
	away := carillon.Attempt{Outcome: carillon.OutcomeThrottled, RetryAfter: carillon.Duration(5 * time.Second), Error: "the database is away"}
	replies := make([]carillon.Attempt, 0, 14)
	for range 13 {
		replies = append(replies, away)
	}
	s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": append(replies, delivered())}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
	at := s.after("sub_a")
	for n := 1; n < len(at); n++ {
		require.Equal(t, min(5*time.Second<<(n-1), time.Hour), at[n]-at[n-1])
	}
}

// A final row that is read back after a crash asks for nothing more, so it is
// written only once its subscription is decided.
func TestDispatchDisablesBeforeItRecordsTheFailure(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]carillon.Attempt{"gone": status(carillon.OutcomeGone, 410), "exhausted": failing()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {reply}}}
			s.route.Plans[0].Delays = nil
			env := newRun(t, s)
			env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
				if info.ActivityType.Name == activities.Disable {
					require.Empty(t, s.last(), "nothing is final yet")
				}
			})
			env.ExecuteWorkflow(workflows.DispatchType, input())
			require.Equal(t, workflows.DispatchResult{Failed: 1}, result(t, env))
			require.Len(t, s.disables, 1)
			require.Equal(t, "event/evt_1", s.disables[0].Run)
			require.Equal(t, carillon.Failed, s.last()["sub_a"].State)
		})
	}
}

func TestDispatchKeepsToTheTimeThatAnInterruptedRunHadSet(t *testing.T) {
	t.Parallel()
	route := plans("sub_a")
	route.Plans[0].State, route.Plans[0].Attempts = carillon.Retrying, 1
	route.Plans[0].NextAt, route.Plans[0].FirstFailedAt = start.Add(40*time.Second), start.Add(-time.Minute)
	s := &scripted{route: route, replies: map[string][]carillon.Attempt{"sub_a": {failing(), delivered()}}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
	require.Equal(t, []time.Duration{40 * time.Second, 5*time.Minute + 40*time.Second}, s.after("sub_a"))
	require.Equal(t, start.Add(-time.Minute), s.last()["sub_a"].FirstFailedAt.UTC())
}

func TestDispatchCanceledBeforeItRoutedRecordsItsDeliveriesCanceled(t *testing.T) {
	t.Parallel()
	// The database is back a second after the run is canceled.
	s := &scripted{route: plans("sub_a"), localFails: map[string]bool{activities.Route: true}, routeFails: 1}
	env := newRun(t, s)
	env.RegisterDelayedCallback(env.CancelWorkflow, 500*time.Millisecond)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.True(t, temporal.IsCanceledError(env.GetWorkflowError()))
	// The test environment runs what is canceled at once, or does not, as it comes.
	require.LessOrEqual(t, len(s.attempts), 1)
	require.Equal(t, carillon.Canceled, s.last()["sub_a"].State)
}

func TestDispatchCountsAnAttemptThatBrokeOffAsRetry(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {{Error: "panic"}, {Error: "panic"}, delivered()}}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
	require.Equal(t, 3, s.last()["sub_a"].Attempts)
	require.Contains(t, s.records[0].Rows[0].Error, "broke off")
}

func TestDispatchFallsBackToRegularActivitiesWhenTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	s := &scripted{
		route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {delivered()}},
		localFails: map[string]bool{activities.Route: true, activities.Record: true},
	}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
	require.Equal(t, map[string]int{activities.Route: 1, activities.Record: 1}, s.regular)
	require.NotNil(t, s.inputs[0].Publication)
	require.Nil(t, s.inputs[1].Publication, "a recorded input names the event and does not repeat it")
}

func TestDispatchOfADuplicateDoesNothing(t *testing.T) {
	t.Parallel()
	s := &scripted{route: activities.RouteResult{Duplicate: true}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Duplicate: true}, result(t, env))
	require.Empty(t, s.attempts)
	require.Empty(t, s.records)
}

func TestDispatchSkipsWhatIsDoneAndGoesOnWithWhatIsNot(t *testing.T) {
	t.Parallel()
	// What Route reads back when the run was reset.
	route := plans("sub_done", "sub_held", "sub_mid")
	route.Plans[0].State, route.Plans[0].Attempts = carillon.Succeeded, 1
	route.Plans[1].State = carillon.Held
	route.Plans[2].State, route.Plans[2].Attempts = carillon.Retrying, 2
	s := &scripted{route: route, replies: map[string][]carillon.Attempt{"sub_mid": {delivered()}}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 2, Held: 1}, result(t, env))
	require.Equal(t, []tried{{Subscription: "sub_mid", Number: 3, Local: true, HasEvent: true}}, s.attempts)
}

func TestDispatchHandsFurtherPagesToRunsOfTheirOwn(t *testing.T) {
	t.Parallel()
	route := plans("sub_a")
	route.More = true
	s := &scripted{
		route: route,
		pages: []activities.PageResult{{Plans: plans("sub_b").Plans, More: true}, {Plans: plans("sub_c").Plans}},
	}
	env := newRun(t, s)
	var children []string
	env.SetOnChildWorkflowStartedListener(func(info *workflow.Info, _ workflow.Context, _ converter.EncodedValues) {
		children = append(children, info.WorkflowExecution.ID)
	})
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 1, MorePages: true}, result(t, env))
	require.Equal(t, []string{"event/evt_1/page/2", "event/evt_1/page/3"}, children)
	require.Len(t, s.attempts, 3)
	for _, r := range s.records {
		require.Equal(t, s.records[0].Owner, r.Owner, "the event's own run owns all rows")
	}
}

func TestDispatchRetryNowMakesAWaitingAttemptAtOnce(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {failing(), delivered()}}}
	env := newRun(t, s)
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.UpdateRetryNow, "u1", accepts(t), workflows.UpdateInput{Subscription: "sub_a"})
	}, 10*time.Second)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
	require.Equal(t, []time.Duration{0, 10 * time.Second}, s.after("sub_a"))
}

func TestDispatchCancelEndsOneDeliveryAndLeavesTheOthers(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a", "sub_b"), replies: map[string][]carillon.Attempt{
		"sub_a": {failing()}, "sub_b": {failing(), delivered()},
	}}
	env := newRun(t, s)
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.UpdateCancel, "u1", accepts(t), workflows.UpdateInput{Subscription: "sub_a"})
	}, 10*time.Second)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.Equal(t, workflows.DispatchResult{Succeeded: 1, Canceled: 1}, result(t, env))
	require.Equal(t, carillon.Canceled, s.last()["sub_a"].State)
	require.Equal(t, []time.Duration{0}, s.after("sub_a"))
	require.Empty(t, s.disables)
}

func TestDispatchRefusesUpdatesThatMeanNothing(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a", "sub_b"), replies: map[string][]carillon.Attempt{
		"sub_a": {failing(), delivered()}, "sub_b": {delivered()},
	}}
	env := newRun(t, s)
	var refusals []string
	refuses := &testsuite.TestUpdateCallback{
		OnAccept:   func() { t.Error("accepted") },
		OnReject:   func(err error) { refusals = append(refusals, err.Error()) },
		OnComplete: func(any, error) {},
	}
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(workflows.UpdateRetryNow, "u1", refuses, workflows.UpdateInput{Subscription: "sub_x"})
		env.UpdateWorkflow(workflows.UpdateCancel, "u2", refuses, workflows.UpdateInput{Subscription: "sub_b"})
	}, 10*time.Second)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, []string{
		`this run has no delivery to subscription "sub_x"`, "the delivery is succeeded, not under way",
	}, refusals)
}

func TestDispatchCanceledRunRecordsItsDeliveriesCanceled(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a", "sub_b"), replies: map[string][]carillon.Attempt{
		"sub_a": {failing()}, "sub_b": {delivered()},
	}}
	env := newRun(t, s)
	env.RegisterDelayedCallback(env.CancelWorkflow, 10*time.Second)
	env.ExecuteWorkflow(workflows.DispatchType, input())

	require.True(t, env.IsWorkflowCompleted())
	require.True(t, temporal.IsCanceledError(env.GetWorkflowError()))
	require.Equal(t, carillon.Canceled, s.last()["sub_a"].State)
	require.Equal(t, carillon.Succeeded, s.last()["sub_b"].State)
}

func TestDispatchSetsSearchAttributesInTroubleOnly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		replies []carillon.Attempt
		want    []string
	}{
		{"healthy", []carillon.Attempt{delivered()}, nil},
		{"recovers", []carillon.Attempt{failing(), failing(), delivered()}, []string{"retrying [sub_a]", "succeeded []"}},
		{"rejected", []carillon.Attempt{{Outcome: carillon.OutcomeReject}}, []string{"failed [sub_a]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": tt.replies}}
			env := newRun(t, s)
			var got []string
			env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
				attrs, ok := args.Get(0).(temporal.SearchAttributes)
				require.True(t, ok)
				state, _ := attrs.GetKeyword(workflows.AttributeState)
				failing, _ := attrs.GetKeywordList(workflows.AttributeFailing)
				got = append(got, fmt.Sprint(state, " ", failing))
			}).Return(nil).Maybe()
			env.ExecuteWorkflow(workflows.DispatchType, input())
			result(t, env)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestDispatchAnswersTheDeliveriesQuery(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {failing(), delivered()}}}
	env := newRun(t, s)
	var views []workflows.DeliveryView
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(workflows.QueryDeliveries)
		require.NoError(t, err)
		require.NoError(t, value.Get(&views))
	}, 10*time.Second)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, []workflows.DeliveryView{{
		Subscription: "sub_a", Channel: "webhook", Host: "hooks.example.com", State: carillon.Retrying,
		Attempts: 1, Status: 503, Error: "HTTP 503", NextAt: start.Add(time.Minute),
	}}, views)
}
