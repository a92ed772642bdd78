package workflows_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

// backlog stands in for the database and the runs of redeliveries.
type backlog struct {
	state carillon.SubscriptionState
	held  int
	// failures is how many probes fail before the receiver is back.
	failures int
	delays   []carillon.Duration
	// never is a policy that keeps the subscription.
	never bool

	// openSince and probeAt are the breaker's; probed is what it was told.
	openSince, probeAt time.Time
	probed             []activities.ProbedInput
	// rejects is how many deliveries can never be sent.
	rejects int
	// onLook and onProbed are what happens meanwhile.
	onLook   func(look int)
	onProbed func()
	looks    int
	tries    []time.Duration

	now      func() time.Time
	windows  []int
	at       []time.Duration
	started  int
	disables []activities.DisableInput
}

func (b *backlog) Backlog(_ context.Context, in activities.BacklogInput) (activities.BacklogResult, error) {
	out := activities.BacklogResult{State: b.state, Name: "watchers", Generation: 4, Disable: carillon.DisableExhausted, Delays: b.delays, Total: b.held,
		OpenSince: b.openSince, ProbeAt: b.probeAt}
	b.looks++
	if b.onLook != nil {
		defer b.onLook(b.looks)
	}
	for n := range min(b.held, in.Limit) {
		out.Oldest = append(out.Oldest, carillon.Redelivery{
			EventID: fmt.Sprintf("evt_%d", b.started+n), SubscriptionID: "sub_a", Number: len(b.at) + 1, Probe: true,
			From: []carillon.DeliveryState{carillon.Held},
		})
	}
	if len(out.Oldest) > 0 && b.state == carillon.Enabled {
		b.windows = append(b.windows, len(out.Oldest))
		b.at = append(b.at, b.now().Sub(start))
	}
	return out, nil
}

func (b *backlog) Disable(_ context.Context, in activities.DisableInput) (activities.DisableResult, error) {
	b.disables = append(b.disables, in)
	if b.never {
		return activities.DisableResult{}, nil
	}
	b.state = carillon.Disabled
	return activities.DisableResult{Disabled: true}, nil
}

func (b *backlog) Probed(_ context.Context, in activities.ProbedInput) error {
	b.probed = append(b.probed, in)
	if !in.OpenSince.Equal(b.openSince) {
		return nil
	}
	b.probeAt = in.NextAt
	if in.Close || in.Half {
		b.openSince = time.Time{}
	}
	if b.onProbed != nil {
		b.onProbed()
	}
	return nil
}

// dispatch stands in for the run of a redelivery.
func (b *backlog) dispatch(_ workflow.Context, in workflows.DispatchInput) (workflows.DispatchResult, error) {
	if in.Redelivery.Origin.WorkflowID != "event/"+in.Redelivery.EventID {
		return workflows.DispatchResult{}, fmt.Errorf("origin %v", in.Redelivery.Origin)
	}
	b.tries = append(b.tries, b.now().Sub(start))
	if b.rejects > 0 {
		b.rejects--
		b.held--
		b.started++
		return workflows.DispatchResult{Failed: 1}, nil
	}
	if b.failures > 0 {
		b.failures--
		return workflows.DispatchResult{PutBack: 1}, nil
	}
	b.held--
	b.started++
	return workflows.DispatchResult{Succeeded: 1}, nil
}

func newRecovery(b *backlog) *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(start)
	env.RegisterWorkflowWithOptions(workflows.Recover, workflow.RegisterOptions{Name: workflows.RecoverType})
	env.RegisterWorkflowWithOptions(b.dispatch, workflow.RegisterOptions{Name: workflows.DispatchType})
	env.RegisterActivityWithOptions(b.Backlog, activity.RegisterOptions{Name: activities.Backlog})
	env.RegisterActivityWithOptions(b.Disable, activity.RegisterOptions{Name: activities.Disable})
	env.RegisterActivityWithOptions(b.Probed, activity.RegisterOptions{Name: activities.Probed})
	b.now = env.Now
	return env
}

func runRecovery(env *testsuite.TestWorkflowEnvironment, rate float64) {
	env.ExecuteWorkflow(workflows.RecoverType, workflows.RecoverInput{
		Subscription: "sub_a",
		Requests: []workflows.RecoverRequest{{
			Backlog: carillon.Backlog{SubscriptionID: "sub_a", States: []carillon.DeliveryState{carillon.Held}}, Rate: rate,
		}},
	})
}

func TestRecoverBeginsAloneAndRampsUp(t *testing.T) {
	t.Parallel()
	b := &backlog{state: carillon.Enabled, held: 200}
	env := newRecovery(b)
	runRecovery(env, 0)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []int{1, 2, 4, 8, 16, 32, 32, 32, 32, 32, 9}, b.windows)
	var progress workflows.RecoverProgress
	require.NoError(t, env.GetWorkflowResult(&progress))
	require.Equal(t, workflows.RecoverProgress{Succeeded: 200}, progress)
}

func TestRecoverProbesOnTheScheduleWhileTheReceiverIsDown(t *testing.T) {
	t.Parallel()
	b := &backlog{state: carillon.Enabled, held: 3, failures: 2, delays: carillon.DefaultRetry().Schedule}
	env := newRecovery(b)
	runRecovery(env, 0)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []int{1, 1, 1, 2}, b.windows, "a failure goes back to one at a time")
	require.Equal(t, []time.Duration{0, time.Minute, 6 * time.Minute, 6 * time.Minute}, b.at)
	require.Empty(t, b.disables)
}

func TestRecoverDisablesWhenItsProbesRunOut(t *testing.T) {
	t.Parallel()
	b := &backlog{state: carillon.Enabled, held: 3, failures: 99, delays: carillon.DefaultRetry().Schedule}
	env := newRecovery(b)
	runRecovery(env, 0)
	require.NoError(t, env.GetWorkflowError())
	require.Len(t, b.disables, 1)
	require.True(t, b.disables[0].Recovery)
	require.Equal(t, int64(4), b.disables[0].Generation)
	require.Equal(t, 87*time.Hour+36*time.Minute, b.at[len(b.at)-1])
	require.Equal(t, 3, b.held, "nothing is lost")
}

func TestRecoverGoesOnProbingWhereThePolicyNeverDisables(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		delays []carillon.Duration
		want   []time.Duration
	}{
		"at the last step of the schedule": {
			[]carillon.Duration{carillon.Duration(time.Minute), carillon.Duration(time.Hour)},
			[]time.Duration{0, time.Minute, 61 * time.Minute, 121 * time.Minute},
		},
		"hourly, where the schedule is empty": {nil, []time.Duration{0, time.Hour, 2 * time.Hour, 3 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &backlog{state: carillon.Enabled, held: 1, failures: 3, delays: tt.delays, never: true}
			env := newRecovery(b)
			runRecovery(env, 0)
			require.NoError(t, env.GetWorkflowError())
			require.Equal(t, tt.want, b.at)
			require.Zero(t, b.held)
		})
	}
}

func TestRecoverKeepsToItsRate(t *testing.T) {
	t.Parallel()
	b := &backlog{state: carillon.Enabled, held: 7}
	env := newRecovery(b)
	runRecovery(env, 2)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond}, b.at)
}

func TestRecoverLeavesASubscriptionAloneThatTakesNone(t *testing.T) {
	t.Parallel()
	b := &backlog{state: carillon.Paused, held: 3}
	env := newRecovery(b)
	runRecovery(env, 0)
	require.NoError(t, env.GetWorkflowError())
	require.Zero(t, b.started)
}

func TestRecoverProbesAtOnceWhenItIsAskedAgain(t *testing.T) {
	t.Parallel()
	b := &backlog{state: carillon.Enabled, held: 1, failures: 1, delays: carillon.DefaultRetry().Schedule}
	env := newRecovery(b)
	env.RegisterDelayedCallback(func() {
		env.SignalWorkflow(workflows.SignalRecover, workflows.RecoverRequest{
			Backlog: carillon.Backlog{SubscriptionID: "sub_a", States: []carillon.DeliveryState{carillon.Held}},
		})
	}, 10*time.Second)
	runRecovery(env, 0)
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, []time.Duration{0, 10 * time.Second}, b.at)
}

func TestRecoverGoesOnInANewHistoryBeforeItsOwnIsLong(t *testing.T) {
	t.Parallel()
	b := &backlog{state: carillon.Enabled, held: 2000}
	env := newRecovery(b)
	runRecovery(env, 0)
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	require.GreaterOrEqual(t, b.started, 500)
	require.Less(t, b.started, 600)
}

func TestRedeliveryThatFailsAsAProbeIsPutBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		reply carillon.Attempt
		want  workflows.DispatchResult
		state carillon.DeliveryState
	}{
		"delivered": {delivered(), workflows.DispatchResult{Succeeded: 1}, carillon.Succeeded},
		"failing":   {failing(), workflows.DispatchResult{PutBack: 1}, carillon.Held},
		"gone":      {status(carillon.OutcomeGone, 410), workflows.DispatchResult{Failed: 1}, carillon.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			route := plans("sub_a")
			route.Plans[0].Delays = nil
			s := &scripted{route: route, replies: map[string][]carillon.Attempt{"sub_a": {tt.reply}}}
			env := newRun(t, s)
			env.ExecuteWorkflow(workflows.DispatchType, workflows.DispatchInput{Redelivery: &carillon.Redelivery{
				EventID: "evt_1", SubscriptionID: "sub_a", Number: 1, Probe: true,
				From: []carillon.DeliveryState{carillon.Held}, Origin: carillon.Run{WorkflowID: "event/evt_1"},
			}})
			require.Equal(t, tt.want, result(t, env))
			require.Equal(t, tt.state, s.last()["sub_a"].State)
			require.Equal(t, tt.state == carillon.Held, s.last()["sub_a"].PutBack)
			require.Len(t, s.attempts, 1)
		})
	}
}

func TestDispatchAttemptsAtOnceWhatIsEnabledByTheTimeItIsHeld(t *testing.T) {
	t.Parallel()
	s := &scripted{route: plans("sub_a"), reopens: 1, replies: map[string][]carillon.Attempt{
		"sub_a": {{Outcome: carillon.OutcomeHeld}, delivered()},
	}}
	env := newRun(t, s)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, workflows.DispatchResult{Succeeded: 1}, result(t, env))
	require.Equal(t, []time.Duration{0, 0}, s.after("sub_a"))
}
