package worker

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Option changes how a [Worker] works.
type Option func(*worker.Options)

// Versioned makes the worker one of a version of a worker deployment: Temporal
// gives it tasks once that version is the deployment's current one. Runs under
// way move on to it, as every version replays the histories of earlier ones.
func Versioned(deployment, buildID string) Option {
	return func(o *worker.Options) {
		o.DeploymentOptions = worker.DeploymentOptions{
			UseVersioning:             true,
			Version:                   worker.WorkerDeploymentVersion{DeploymentName: deployment, BuildID: buildID},
			DefaultVersioningBehavior: workflow.VersioningBehaviorAutoUpgrade,
		}
	}
}
