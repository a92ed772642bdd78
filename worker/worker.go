// Package worker runs Carillon's workflows and activities against a Temporal
// server. It is the only place that registers them, so that a name is bound
// once; it holds no logic of its own.
package worker

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

const (
	// stopTimeout lets an attempt that was begun (30 s at most) end before the
	// process does. The SDK's own default abandons it.
	stopTimeout = 40 * time.Second
	// pollers keeps the queues drained without taking both cores of a small
	// machine; more gained nothing when measured.
	pollers = 8
	// maxTasks is the SDK's own number of workflow tasks at a time.
	maxTasks = 1000
)

// Worker polls both task queues.
type Worker struct {
	dispatch   worker.Worker
	deliveries worker.Worker
	failed     chan error
}

// New returns a worker that is not started, in a process that keeps so many runs
// in memory between their tasks; see [CachedRuns]. For eager starts, the client
// must be the one that starts runs.
func New(c client.Client, a *activities.Activities, cachedRuns int, changes ...Option) *Worker {
	worker.SetStickyWorkflowCacheSize(cachedRuns)
	w := &Worker{failed: make(chan error, 1)}
	options := worker.Options{
		OnFatalError: func(err error) {
			select {
			case w.failed <- err:
			default: // one is enough
			}
		},
		WorkerStopTimeout:                stopTimeout,
		MaxConcurrentWorkflowTaskPollers: pollers,
		MaxConcurrentActivityTaskPollers: pollers,
		// A run that works takes memory, too.
		MaxConcurrentWorkflowTaskExecutionSize: min(cachedRuns, maxTasks),
	}
	for _, change := range changes {
		change(&options)
	}
	w.dispatch = worker.New(c, workflows.DispatchQueue, options)
	options.DisableWorkflowWorker = true
	w.deliveries = worker.New(c, workflows.DeliveriesQueue, options)

	w.dispatch.RegisterWorkflowWithOptions(workflows.Dispatch, workflow.RegisterOptions{Name: workflows.DispatchType})
	w.dispatch.RegisterWorkflowWithOptions(workflows.Batch, workflow.RegisterOptions{Name: workflows.BatchType})
	w.dispatch.RegisterWorkflowWithOptions(workflows.Recover, workflow.RegisterOptions{Name: workflows.RecoverType})
	w.dispatch.RegisterWorkflowWithOptions(workflows.Prune, workflow.RegisterOptions{Name: workflows.PruneType})
	w.dispatch.RegisterWorkflowWithOptions(workflows.Sweep, workflow.RegisterOptions{Name: workflows.SweepType})
	w.dispatch.RegisterWorkflowWithOptions(workflows.Gather, workflow.RegisterOptions{Name: workflows.GatherType})
	for name, fn := range map[string]any{
		activities.Route: a.Route, activities.Page: a.Page, activities.Attempt: a.Attempt,
		activities.Record: a.Record, activities.Disable: a.Disable, activities.Reclaim: a.Reclaim,
		activities.RouteBatch: a.RouteBatch, activities.AttemptBatch: a.AttemptBatch, activities.Backlog: a.Backlog,
		activities.Probed: a.Probed, activities.Prune: a.Prune, activities.Sweep: a.Sweep,
		activities.Gather: a.Gather, activities.Settle: a.Settle, activities.Wake: a.Wake, activities.Regather: a.Regather,
	} {
		w.dispatch.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	w.deliveries.RegisterActivityWithOptions(a.Attempt, activity.RegisterOptions{Name: activities.Attempt})
	w.deliveries.RegisterActivityWithOptions(a.Send, activity.RegisterOptions{Name: activities.Send})
	return w
}

// Start begins to poll. It fails when the server does not answer.
func (w *Worker) Start() error {
	if err := w.dispatch.Start(); err != nil {
		return fmt.Errorf("start worker of %s: %w", workflows.DispatchQueue, err)
	}
	if err := w.deliveries.Start(); err != nil {
		w.dispatch.Stop()
		return fmt.Errorf("start worker of %s: %w", workflows.DeliveriesQueue, err)
	}
	return nil
}

// Failed receives the error that ended polling by itself, such as a namespace
// that is gone. The worker is then to be stopped, and a new one made.
func (w *Worker) Failed() <-chan error { return w.failed }

// Stop ends polling and waits for attempts under way.
func (w *Worker) Stop() {
	done := make(chan struct{})
	go func() { defer close(done); w.deliveries.Stop() }()
	w.dispatch.Stop()
	<-done
}
