package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

// opened is the backlog of an endpoint whose breaker opened at the start.
func opened(held, failures int) *backlog {
	return &backlog{
		state: carillon.Enabled, held: held, failures: failures, delays: carillon.DefaultRetry().Schedule,
		openSince: start, probeAt: start.Add(time.Minute),
	}
}

func runOpened(env *testsuite.TestWorkflowEnvironment) {
	env.ExecuteWorkflow(workflows.RecoverType, workflows.RecoverInput{
		Subscription: "sub_a", Requests: []workflows.RecoverRequest{openedRequest()},
	})
}

func openedRequest() workflows.RecoverRequest {
	return workflows.RecoverRequest{
		Backlog: carillon.Backlog{SubscriptionID: "sub_a", States: []carillon.DeliveryState{carillon.Held}}, Opened: true,
	}
}

func TestAnOpenBreakerIsProbedOnTheScheduleAndClosedByASuccess(t *testing.T) {
	t.Parallel()
	b := opened(4, 2)
	env := newRecovery(b)
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	closed := 36 * time.Minute
	require.Equal(t, []time.Duration{time.Minute, 6 * time.Minute, closed, closed, closed, closed}, b.tries)
	probed := activities.ProbedInput{SubscriptionID: "sub_a", OpenSince: start}
	first, second, last := probed, probed, probed
	first.NextAt, second.NextAt, last.Close = start.Add(6*time.Minute), start.Add(closed), true
	require.Equal(t, []activities.ProbedInput{first, second, last}, b.probed)
	require.Zero(t, b.held)
	require.Empty(t, b.disables)
}

func TestASubscriptionIsDisabledWhenTheProbesOfItsBreakerRunOut(t *testing.T) {
	t.Parallel()
	b := opened(2, 99)
	env := newRecovery(b)
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, b.disables, 1)
	require.Equal(t, 87*time.Hour+36*time.Minute, b.tries[len(b.tries)-1])
	require.Equal(t, 2, b.held, "nothing is lost")
}

func TestABreakerWithNothingToProbeWithLeavesTheNextDeliveryToDecide(t *testing.T) {
	t.Parallel()
	b := opened(0, 0)
	env := newRecovery(b)
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []activities.ProbedInput{{SubscriptionID: "sub_a", OpenSince: start, Half: true}}, b.probed)
	require.Empty(t, b.tries)
	require.Equal(t, 3, b.looks, "the last one sees what was held until it closed")
}

func TestADeliveryHeldWhileTheBreakerClosesIsDelivered(t *testing.T) {
	t.Parallel()
	b := opened(0, 0)
	b.onProbed = func() { b.held++ } // committed before the closing was
	env := newRecovery(b)
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{time.Minute}, b.tries)
	require.Zero(t, b.held)
}

func TestAProbeThatCanNeverBeSentLeavesItToTheNext(t *testing.T) {
	t.Parallel()
	b := opened(3, 0)
	b.rejects = 2
	env := newRecovery(b)
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{time.Minute, time.Minute, time.Minute}, b.tries)
	require.Len(t, b.probed, 1, "two said nothing of the endpoint")
	require.True(t, b.probed[0].Close)
}

func TestARepeatedOpeningProbesNoEarlier(t *testing.T) {
	t.Parallel()
	b := opened(1, 1)
	env := newRecovery(b)
	for _, after := range []time.Duration{time.Second, 2 * time.Minute} {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalRecover, openedRequest()) }, after)
	}
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{time.Minute, 6 * time.Minute}, b.tries)
}

// A person enabled the subscription while the run waited, and nothing was held,
// so nobody told it; then the breaker opened again.
func TestANewOpeningIsNotProbedByTheScheduleOfTheLast(t *testing.T) {
	t.Parallel()
	b := opened(1, 4) // the fourth probe fails at 3h36m, and the next would be 12h later
	env := newRecovery(b)
	again := 5 * time.Hour
	env.RegisterDelayedCallback(func() {
		b.openSince, b.probeAt = start.Add(again), start.Add(again+time.Minute)
		env.SignalWorkflow(workflows.SignalRecover, openedRequest())
	}, again)
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, again+time.Minute, b.tries[len(b.tries)-1])
}

func TestWhoeverEnablesASubscriptionProbesAtOnce(t *testing.T) {
	t.Parallel()
	b := opened(3, 0)
	env := newRecovery(b)
	env.RegisterDelayedCallback(func() {
		b.openSince, b.probeAt = time.Time{}, time.Time{}
		request := openedRequest()
		request.Opened = false
		env.SignalWorkflow(workflows.SignalRecover, request)
	}, 10*time.Second)
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{10 * time.Second, 10 * time.Second, 10 * time.Second}, b.tries)
}

// The breaker opens just as the run has seen that nothing is left to do.
func TestAnOpeningInTheMomentThatARunEndsIsNotLost(t *testing.T) {
	t.Parallel()
	b := &backlog{state: carillon.Enabled, delays: carillon.DefaultRetry().Schedule}
	env := newRecovery(b)
	b.onLook = func(look int) {
		if look == 1 { // the answer of which says that it is closed
			b.openSince, b.probeAt, b.held = start, start.Add(time.Minute), 1
			env.SignalWorkflow(workflows.SignalRecover, openedRequest())
		}
	}
	runOpened(env)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{time.Minute}, b.tries)
	require.Zero(t, b.held)
}

func TestASlowEndpointIsAttemptedOutsideTheWorkflowTask(t *testing.T) {
	t.Parallel()
	route := plans("sub_fast", "sub_slow")
	route.Plans[1].Slow = true
	s := &scripted{route: route}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, workflows.DispatchResult{Succeeded: 2}, result(t, env))
	require.Equal(t, []tried{
		{Subscription: "sub_fast", Number: 1, Local: true, HasEvent: true},
		{Subscription: "sub_slow", Number: 1},
	}, s.attempts)
}

func TestARecordSaysWhatTheAttemptWas(t *testing.T) {
	t.Parallel()
	throttled := carillon.Attempt{Outcome: carillon.OutcomeThrottled, RetryAfter: carillon.Duration(time.Second)}
	s := &scripted{route: plans("sub_a"), replies: map[string][]carillon.Attempt{
		"sub_a": {failing(), throttled, {Error: "panic"}, delivered()},
	}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
	var outcomes []carillon.Outcome
	for _, record := range s.records {
		outcomes = append(outcomes, record.Rows[0].Outcome)
	}
	require.Equal(t, []carillon.Outcome{carillon.OutcomeRetry, "", "", carillon.OutcomeDelivered}, outcomes)
}
