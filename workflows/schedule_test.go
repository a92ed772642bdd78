package workflows_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon/workflows"
)

// refusing is a server that lets nobody have schedules.
type refusing struct{ client.Client }

func (refusing) ScheduleClient() client.ScheduleClient { return noSchedules{} }

type noSchedules struct{ client.ScheduleClient }

func (noSchedules) Create(context.Context, client.ScheduleOptions) (client.ScheduleHandle, error) {
	return nil, serviceerror.NewPermissionDenied("no schedules", "")
}

func (noSchedules) GetHandle(context.Context, string) client.ScheduleHandle { return noSchedule{} }

type noSchedule struct{ client.ScheduleHandle }

func (noSchedule) Delete(context.Context) error { return serviceerror.NewNotFound("no such schedule") }

func TestSchedulesThatAreRefusedAreNamed(t *testing.T) {
	t.Parallel()
	p := workflows.NewPublisher(refusing{}, converter.GetDefaultDataConverter(), "default", nil, time.Now, slog.New(slog.DiscardHandler))
	err := p.KeepSchedules(t.Context(), ninetyDays)
	require.ErrorContains(t, err, "keep schedule carillon/sweep: no schedules")
	require.ErrorContains(t, err, "keep schedule carillon/prune: no schedules")

	err = p.KeepSchedules(t.Context(), 0)
	require.ErrorContains(t, err, "carillon/sweep")
	require.NotContains(t, err.Error(), "carillon/prune", "one that is not there needs no removal")
}
