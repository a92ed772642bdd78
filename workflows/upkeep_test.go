package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

func (s *scripted) Prune(_ context.Context, in activities.PruneInput) (activities.PruneResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruned = append(s.pruned, in)
	if len(s.pruned) == 2 && s.localFails[activities.Prune] {
		s.localFails = nil
		s.pruned = s.pruned[:1]
		return activities.PruneResult{}, errAway
	}
	return s.prunes[min(len(s.pruned), len(s.prunes))-1], nil
}

func (s *scripted) Sweep(_ context.Context, in activities.SweepInput) (activities.SweepResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = append(s.swept, in)
	return s.sweeps[min(len(s.swept), len(s.sweeps))-1], nil
}

func registerUpkeep(r interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}) {
	r.RegisterWorkflowWithOptions(workflows.Prune, workflow.RegisterOptions{Name: workflows.PruneType})
	r.RegisterWorkflowWithOptions(workflows.Sweep, workflow.RegisterOptions{Name: workflows.SweepType})
}

func newUpkeep(t *testing.T, s *scripted) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	env := newRun(t, s)
	registerUpkeep(env)
	return env
}

const ninetyDays = 90 * 24 * time.Hour

func TestPruneGoesOnWhereItLeftOffAndOneCutoffHoldsForTheWholeRun(t *testing.T) {
	t.Parallel()
	place := activities.PrunePlace{Subscription: "sub_m"}
	s := &scripted{
		prunes: []activities.PruneResult{
			{Deliveries: 50_000, Next: place, More: true}, {Deliveries: 7, Events: 3, Next: activities.PrunePlace{Events: true}, More: true}, {Events: 4},
		},
		localFails: map[string]bool{activities.Prune: true}, // the second call, once
	}
	env := newUpkeep(t, s)
	env.ExecuteWorkflow(workflows.PruneType, workflows.PruneInput{Retention: carillon.Duration(ninetyDays)})

	var out workflows.PruneResult
	require.NoError(t, env.GetWorkflowResult(&out))
	require.Equal(t, workflows.PruneResult{Deliveries: 50_007, Events: 7}, out)
	before := start.Add(-ninetyDays)
	require.Equal(t, []activities.PruneInput{
		{Before: before}, {Before: before, From: place}, {Before: before, From: activities.PrunePlace{Events: true}},
	}, s.pruned)
}

func TestPruneLeavesTheRestToTheNextRun(t *testing.T) {
	t.Parallel()
	s := &scripted{prunes: []activities.PruneResult{{Deliveries: 50_000, More: true}}}
	env := newUpkeep(t, s)
	env.ExecuteWorkflow(workflows.PruneType, workflows.PruneInput{Retention: carillon.Duration(ninetyDays)})

	var out workflows.PruneResult
	require.NoError(t, env.GetWorkflowResult(&out))
	require.Equal(t, workflows.PruneResult{Deliveries: 10_000_000, More: true}, out)
	require.Len(t, s.pruned, 200)
}

func TestSweepLooksAtAllThatIsOverdueUpToABound(t *testing.T) {
	t.Parallel()
	place := activities.SweepPlace{ReceivedAt: start, Event: "evt_500", Subscription: "sub_a"}
	s := &scripted{sweeps: []activities.SweepResult{{Canceled: 2, Failed: 1, Next: place, More: true}, {Canceled: 1}}}
	env := newUpkeep(t, s)
	env.ExecuteWorkflow(workflows.SweepType, workflows.SweepInput{Overdue: carillon.Duration(time.Hour)})

	var out workflows.SweepResult
	require.NoError(t, env.GetWorkflowResult(&out))
	require.Equal(t, workflows.SweepResult{Canceled: 3, Failed: 1}, out)
	since := start.Add(-time.Hour)
	require.Equal(t, []activities.SweepInput{{Since: since}, {Since: since, After: place}}, s.swept)

	s = &scripted{sweeps: []activities.SweepResult{{More: true}}}
	env = newUpkeep(t, s)
	env.ExecuteWorkflow(workflows.SweepType, workflows.SweepInput{})
	require.NoError(t, env.GetWorkflowResult(&out))
	require.True(t, out.More)
	require.Len(t, s.swept, 20)
}
