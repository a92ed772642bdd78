package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	temporal "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/workflows"
)

// trigger runs a schedule now and waits until that run has ended.
func (i *instance) trigger(c temporal.Client, id string, result any) {
	i.t.Helper()
	handle := c.ScheduleClient().GetHandle(i.t.Context(), id)
	before, err := handle.Describe(i.t.Context())
	require.NoError(i.t, err)
	require.NoError(i.t, handle.Trigger(i.t.Context(), temporal.ScheduleTriggerOptions{}))
	i.eventually("schedule "+id+" has started a run", func() bool {
		now, err := handle.Describe(i.t.Context())
		require.NoError(i.t, err)
		if now.Info.NumActions == before.Info.NumActions || len(now.Info.RecentActions) == 0 {
			return false
		}
		last := now.Info.RecentActions[len(now.Info.RecentActions)-1].StartWorkflowResult
		return c.GetWorkflow(i.t.Context(), last.WorkflowID, last.FirstExecutionRunID).Get(i.t.Context(), result) == nil
	})
}

// change edits what a schedule does, as an operator may.
func (i *instance) change(c temporal.Client, id string, edit func(*temporal.Schedule)) {
	i.t.Helper()
	err := c.ScheduleClient().GetHandle(i.t.Context(), id).Update(i.t.Context(), temporal.ScheduleUpdateOptions{
		DoUpdate: func(in temporal.ScheduleUpdateInput) (*temporal.ScheduleUpdate, error) {
			edit(&in.Description.Schedule)
			return &temporal.ScheduleUpdate{Schedule: &in.Description.Schedule}, nil
		},
	})
	require.NoError(i.t, err)
}

// described waits until Carillon has made a schedule, and returns it.
func (i *instance) described(c temporal.Client, id string) *temporal.ScheduleDescription {
	i.t.Helper()
	var have *temporal.ScheduleDescription
	i.eventually("schedule "+id+" is there", func() bool {
		var err error
		have, err = c.ScheduleClient().GetHandle(i.t.Context(), id).Describe(i.t.Context())
		return err == nil
	})
	return have
}

func TestATerminatedRunLeavesNoDeliveryOpen(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		i.hooks.Script("/down", receiver.Reply{Status: 503})
		sub := i.subscribe("/down", schedule(5*time.Second, time.Hour))
		ended, living := i.publish(added("ended")), i.publish(added("living"))
		i.awaitDelivery(ended.ID, sub.ID, carillon.Retrying)

		server := i.temporalClient()
		require.NoError(t, server.TerminateWorkflow(t.Context(), ended.Run.WorkflowID, "", "a test"))
		i.described(server, workflows.SweepSchedule)
		// An operator who does not want to wait for an hour.
		i.change(server, workflows.SweepSchedule, func(s *temporal.Schedule) {
			s.Action.(*temporal.ScheduleWorkflowAction).Args = []any{workflows.SweepInput{}}
		})
		var closed client.Delivery
		i.eventually("the delivery is closed, once its next attempt is overdue", func() bool {
			i.trigger(server, workflows.SweepSchedule, nil)
			var err error
			closed, err = i.client.Delivery(t.Context(), ended.ID, sub.ID)
			require.NoError(t, err)
			return closed.State == carillon.Canceled
		})
		require.Equal(t, "its run was terminated", closed.Error)
		require.Len(t, closed.Attempts, 1, "what was tried can still be read")
		require.Equal(t, carillon.Retrying, i.awaitDelivery(living.ID, sub.ID, carillon.Retrying).State)
	})
}

func TestSchedulesAreKeptAsTheSettingSays(t *testing.T) {
	t.Parallel()
	i := start(t)
	server := i.temporalClient()
	prune := func() workflows.PruneInput {
		var in workflows.PruneInput
		action := i.described(server, workflows.PruneSchedule).Schedule.Action.(*temporal.ScheduleWorkflowAction)
		require.NoError(t, converter.GetDefaultDataConverter().FromPayload(action.Args[0].(*common.Payload), &in))
		return in
	}
	require.Equal(t, workflows.PruneInput{Retention: carillon.Duration(90 * 24 * time.Hour)}, prune())
	sub := i.subscribe("/hook")
	accepted := i.publish(added("1"))
	i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)
	i.publish(client.NewEvent{
		ID: "unheard", Type: "build.finished", Source: "ci.example.com",
		Data: map[string]any{"build": "1", "status": "passed"},
	})
	var pruned workflows.PruneResult
	i.trigger(server, workflows.PruneSchedule, &pruned)
	require.Equal(t, workflows.PruneResult{}, pruned, "all is young")

	handle := server.ScheduleClient().GetHandle(t.Context(), workflows.PruneSchedule)
	require.NoError(t, handle.Pause(t.Context(), temporal.SchedulePauseOptions{Note: "not now"}))
	i.carillon.stop(t)
	i.env = []string{"CARILLON_RETENTION=30d"}
	i.startCarillon()
	i.eventually("the retention is changed", func() bool {
		return prune() == workflows.PruneInput{Retention: carillon.Duration(30 * 24 * time.Hour)}
	})
	require.True(t, i.described(server, workflows.PruneSchedule).Schedule.State.Paused, "what a person paused stays paused")
	i.carillon.stop(t)
	i.env = []string{"CARILLON_RETENTION=0"}
	i.startCarillon()
	i.eventually("nothing is pruned any more", func() bool {
		_, err := handle.Describe(t.Context())
		_, gone := errors.AsType[*serviceerror.NotFound](err)
		return gone
	})
	updated := i.described(server, workflows.SweepSchedule).Info.LastUpdateAt
	require.False(t, updated.After(time.Unix(0, 0)), "what is as it should be is not touched: %s", updated)

	// Pruned by hand, with a retention that no setting allows.
	run, err := server.ExecuteWorkflow(t.Context(), temporal.StartWorkflowOptions{TaskQueue: workflows.DispatchQueue},
		workflows.PruneType, workflows.PruneInput{})
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), &pruned))
	require.Equal(t, workflows.PruneResult{Events: 1}, pruned, "the last deliveries stay, with their event")
	_, err = i.client.Event(t.Context(), accepted.ID)
	require.NoError(t, err)
	require.Equal(t, accepted.ID, i.publish(added("1")).ID)
	require.Len(t, i.hooks.Requests("/hook"), 1)
}
