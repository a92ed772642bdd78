package worker

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

func TestVersionedMakesTheWorkerOneOfItsDeployment(t *testing.T) {
	t.Parallel()
	var options worker.Options
	Versioned("carillon", "2026-11-22")(&options)
	require.Equal(t, worker.DeploymentOptions{
		UseVersioning:             true,
		Version:                   worker.WorkerDeploymentVersion{DeploymentName: "carillon", BuildID: "2026-11-22"},
		DefaultVersioningBehavior: workflow.VersioningBehaviorAutoUpgrade,
	}, options.DeploymentOptions)
}
