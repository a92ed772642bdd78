package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/carillon-dev/carillon"
)

// The Temporal Schedules that keep the house.
const (
	PruneSchedule = "carillon/prune"
	SweepSchedule = "carillon/sweep"
)

const (
	day = 24 * time.Hour
	// pruneOffset is 03:00 UTC, when few publish.
	pruneOffset = 3 * time.Hour
	// catchupWindow is how late a run may start that was missed while the
	// server was away; what it would have done, the next one does.
	catchupWindow = time.Hour
	// sweepOverdue is far above what a delivery needs for its next attempt when
	// its time has come, so that few runs are looked up in vain.
	sweepOverdue = time.Hour
)

// schedules are the ones to keep, and those to remove.
func schedules(retention time.Duration) (keep []client.ScheduleOptions, remove []string) {
	sweep := client.ScheduleOptions{
		ID: SweepSchedule, Note: "Closes the index rows of deliveries whose run was terminated.",
		Spec: client.ScheduleSpec{
			Intervals: []client.ScheduleIntervalSpec{{Every: time.Hour}}, Jitter: 10 * time.Minute,
		},
		Action: &client.ScheduleWorkflowAction{
			ID: "sweep", Workflow: SweepType, TaskQueue: DispatchQueue,
			Args:          []any{SweepInput{Overdue: carillon.Duration(sweepOverdue)}},
			StaticSummary: "Close deliveries whose run ended without telling",
		},
	}
	prune := client.ScheduleOptions{
		ID: PruneSchedule, Note: "Removes old rows from the index; how old is set by CARILLON_RETENTION.",
		Spec: client.ScheduleSpec{
			Intervals: []client.ScheduleIntervalSpec{{Every: day, Offset: pruneOffset}}, Jitter: time.Hour,
		},
		Action: &client.ScheduleWorkflowAction{
			ID: "prune", Workflow: PruneType, TaskQueue: DispatchQueue,
			Args:          []any{PruneInput{Retention: carillon.Duration(retention)}},
			StaticSummary: fmt.Sprintf("Remove index rows older than %d days", retention/day),
		},
	}
	if retention == 0 {
		return []client.ScheduleOptions{sweep}, []string{PruneSchedule}
	}
	return []client.ScheduleOptions{sweep, prune}, nil
}

// KeepSchedules makes the schedules of housekeeping what they should be: it
// creates those that are not there, changes those that differ, and removes the
// one of pruning when the retention is 0. A schedule that somebody paused
// stays paused.
func (p *Publisher) KeepSchedules(ctx context.Context, retention time.Duration) error {
	keep, remove := schedules(retention)
	var errs []error
	for _, want := range keep {
		want.Overlap, want.CatchupWindow = enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, catchupWindow
		if err := p.keepSchedule(ctx, want); err != nil {
			errs = append(errs, fmt.Errorf("keep schedule %s: %w", want.ID, err))
		}
	}
	for _, id := range remove {
		err := p.client.ScheduleClient().GetHandle(ctx, id).Delete(ctx)
		if _, gone := errors.AsType[*serviceerror.NotFound](err); err != nil && !gone {
			errs = append(errs, fmt.Errorf("remove schedule %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) keepSchedule(ctx context.Context, want client.ScheduleOptions) error {
	_, err := p.client.ScheduleClient().Create(ctx, want)
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return p.client.ScheduleClient().GetHandle(ctx, want.ID).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			have := in.Description.Schedule
			same, err := p.sameSchedule(have, want)
			if err != nil {
				return nil, err
			}
			if same {
				return nil, temporal.ErrSkipScheduleUpdate
			}
			have.Spec, have.Action = &want.Spec, want.Action
			have.Policy = &client.SchedulePolicies{Overlap: want.Overlap, CatchupWindow: want.CatchupWindow}
			return &client.ScheduleUpdate{Schedule: &have}, nil
		},
	})
}

// sameSchedule compares what Carillon sets.
func (p *Publisher) sameSchedule(have client.Schedule, want client.ScheduleOptions) (bool, error) {
	runs, ok := have.Action.(*client.ScheduleWorkflowAction)
	wants, wanted := want.Action.(*client.ScheduleWorkflowAction)
	if !ok || !wanted || have.Spec == nil || have.Policy == nil || len(runs.Args) != len(wants.Args) {
		return false, nil
	}
	for i, arg := range wants.Args {
		payload, ok := runs.Args[i].(*commonpb.Payload)
		if !ok {
			return false, nil
		}
		// What is sealed differs each time, and a server may write the metadata
		// otherwise: only what was said can be compared.
		var said json.RawMessage
		if err := p.converter.FromPayload(payload, &said); err != nil {
			return false, err
		}
		says, err := json.Marshal(arg)
		if err != nil {
			return false, err
		}
		if string(said) != string(says) {
			return false, nil
		}
	}
	return runs.Workflow == wants.Workflow && runs.TaskQueue == wants.TaskQueue && runs.ID == wants.ID &&
		slices.Equal(have.Spec.Intervals, want.Spec.Intervals) && have.Spec.Jitter == want.Spec.Jitter &&
		have.Policy.Overlap == want.Overlap && have.Policy.CatchupWindow == want.CatchupWindow, nil
}
