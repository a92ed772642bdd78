package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

// holding makes plans of a profile that holds what is given up.
func holding(route activities.RouteResult) activities.RouteResult {
	for i := range route.Plans {
		route.Plans[i].Holds = true
	}
	return route
}

func refused404() carillon.Attempt { return status(carillon.OutcomeRefused, 404) }

func TestARefusalDisablesAtOnceAndHoldsTheDelivery(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a", "sub_b"), replies: map[string][]carillon.Attempt{"sub_a": {refused404()}}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, workflows.DispatchResult{Succeeded: 1, Held: 1}, result(t, env))
	require.Equal(t, []time.Duration{0}, s.after("sub_a"))
	require.Equal(t, carillon.Held, s.last()["sub_a"].State)
	require.Len(t, s.disables, 1)
	require.True(t, s.disables[0].Refused)
	require.False(t, s.disables[0].Gone)
	require.False(t, s.last()["sub_a"].PutBack)
}

func TestWhatAProfileGivesUpIsHeld(t *testing.T) {
	t.Parallel()
	dojo, _ := carillon.LookupProfile("defectdojo")
	route := holding(plans("sub_a"))
	route.Plans[0].Delays = dojo.Retry.Schedule
	s := &scripted{route: route, replies: map[string][]carillon.Attempt{"sub_a": {failing()}}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, workflows.DispatchResult{Held: 1}, result(t, env))
	at := s.after("sub_a")
	require.Equal(t, time.Minute, at[1], "out for a minute")
	require.Equal(t, 24*time.Hour, at[len(at)-1], "and after a day for good")
	require.Len(t, s.disables, 1)
	require.False(t, s.disables[0].Refused)
}

func TestARefusalThatDisablesNothingGoesOnByTheSchedule(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		reopens int
		replies []carillon.Attempt
		want    workflows.DispatchResult
		after   []time.Duration
	}{
		"until it is taken": {1, []carillon.Attempt{refused404(), delivered()}, workflows.DispatchResult{Succeeded: 1},
			[]time.Duration{0, time.Minute}},
		"or its schedule runs out": {9, []carillon.Attempt{refused404()}, workflows.DispatchResult{Failed: 1},
			[]time.Duration{0, time.Minute, 6 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			route := plans("sub_a")
			route.Plans[0].Delays = route.Plans[0].Delays[:2]
			s := &scripted{route: route, reopens: tt.reopens, replies: map[string][]carillon.Attempt{"sub_a": tt.replies}}
			env := newRun(t, s)
			env.ExecuteWorkflow(workflows.DispatchType, input())
			require.Equal(t, tt.want, result(t, env))
			require.Equal(t, tt.after, s.after("sub_a"))
		})
	}
}

func TestAProbeThatIsRefusedIsPutBackAndDisables(t *testing.T) {
	t.Parallel()
	route := plans("sub_a")
	route.Plans[0].Delays = nil
	s := &scripted{route: route, replies: map[string][]carillon.Attempt{"sub_a": {refused404()}}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, workflows.DispatchInput{Redelivery: &carillon.Redelivery{
		EventID: "evt_1", SubscriptionID: "sub_a", Number: 1, Probe: true, From: []carillon.DeliveryState{carillon.Held},
		Origin: carillon.Run{WorkflowID: "event/evt_1"},
	}})
	require.Equal(t, workflows.DispatchResult{PutBack: 1}, result(t, env))
	require.True(t, s.last()["sub_a"].PutBack)
	require.Len(t, s.disables, 1)
}

func TestARedeliveryAsSentIsBoundToItsPayload(t *testing.T) {
	t.Parallel()
	for _, sha := range []string{"", "abc"} {
		s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{"sub_a": {failing(), delivered()}}}
		env := newRun(t, s)
		in := input()
		in.Redelivery = &carillon.Redelivery{EventID: "evt_1", SubscriptionID: "sub_a", Number: 1, PayloadSHA256: sha}
		env.ExecuteWorkflow(workflows.DispatchType, in)
		require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
		require.Equal(t, []string{sha, sha}, s.payloads, "first tries and retries")
	}
}

func TestWhatSomeRecipientsHaveSaysWellOfTheEndpointAndIsHandedOn(t *testing.T) {
	t.Parallel()
	some := carillon.Attempt{Outcome: carillon.OutcomeRetry, Partial: true, Progress: []byte(`{"sent":["a"]}`), Error: "1 of 2 left to be told"}
	broken := failing() // which knows nothing of what was made
	for name, tt := range map[string]struct {
		replies  []carillon.Attempt
		want     workflows.DispatchResult
		progress []string
	}{
		"until all have it":                {[]carillon.Attempt{some, broken, delivered()}, workflows.DispatchResult{Succeeded: 1}, []string{"", `{"sent":["a"]}`, `{"sent":["a"]}`}},
		"or fails, which disables nothing": {[]carillon.Attempt{some}, workflows.DispatchResult{Failed: 1}, []string{"", `{"sent":["a"]}`, `{"sent":["a"]}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			route := plans("sub_a")
			route.Plans[0].Delays = route.Plans[0].Delays[:2]
			s := &scripted{route: route, replies: map[string][]carillon.Attempt{"sub_a": tt.replies}}
			env := newRun(t, s)
			env.ExecuteWorkflow(workflows.DispatchType, input())
			require.Equal(t, tt.want, result(t, env))
			require.Empty(t, s.disables)
			require.Equal(t, tt.progress, s.progress)
			require.Equal(t, tt.want.Failed == 1, s.last()["sub_a"].Progress != nil, "a redelivery of what failed is for the others alone")
		})
	}
}
