package workflows_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

var record = flag.Bool("record", false, "record the histories of new branches on the embedded Temporal server (make build); recorded ones stay")

const historiesDir = "testdata/histories"

// branch is one way through the workflow.
type branch struct {
	name   string
	script *scripted
	// act is what a person does while the run waits.
	act func(ctx context.Context, c client.Client, run client.WorkflowRun) error
	// kind and input are those of a run that is no Dispatch.
	kind  string
	input any
}

func branches() []branch {
	short := func(delays int, subscriptions ...string) activities.RouteResult {
		route := plans(subscriptions...)
		for i := range route.Plans {
			route.Plans[i].Delays = nil
			for range delays {
				route.Plans[i].Delays = append(route.Plans[i].Delays, carillon.Duration(time.Second))
			}
		}
		return route
	}
	long := plans("sub_a")
	paged := short(1, "sub_a")
	paged.More = true
	slow := short(1, "sub_a", "sub_b")
	slow.Plans[0].Slow = true
	opened := workflows.RecoverInput{
		Subscription: "sub_a", Requests: []workflows.RecoverRequest{{
			Backlog: carillon.Backlog{SubscriptionID: "sub_a", States: []carillon.DeliveryState{carillon.Held}}, Opened: true,
		}},
	}
	throttled := carillon.Attempt{Outcome: carillon.OutcomeThrottled, RetryAfter: carillon.Duration(time.Second), Error: "the database is away"}
	busy := status(carillon.OutcomeRetry, 429)
	busy.RetryAfter = carillon.Duration(2 * time.Second)
	replies := func(a ...carillon.Attempt) map[string][]carillon.Attempt {
		return map[string][]carillon.Attempt{"sub_a": a}
	}
	update := func(name string) func(context.Context, client.Client, client.WorkflowRun) error {
		return func(ctx context.Context, c client.Client, run client.WorkflowRun) error {
			handle, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
				WorkflowID: run.GetID(), UpdateName: name, WaitForStage: client.WorkflowUpdateStageCompleted,
				Args: []any{workflows.UpdateInput{Subscription: "sub_a"}},
			})
			return errors.Join(err, handle.Get(ctx, nil))
		}
	}
	return append([]branch{
		{name: "healthy", script: &scripted{route: short(3, "sub_a", "sub_b")}},
		{name: "no-match", script: &scripted{}},
		{name: "duplicate", script: &scripted{route: activities.RouteResult{Duplicate: true}}},
		{name: "condition-error", script: &scripted{route: activities.RouteResult{
			ConditionErrors: []carillon.ConditionError{{SubscriptionID: "sub_x", Error: "no such key: score"}},
		}}},
		{name: "held-at-route", script: &scripted{route: activities.RouteResult{
			Plans: []activities.Plan{{Subscription: "sub_a", Channel: "webhook", State: carillon.Held}},
		}}},
		{name: "recovered", script: &scripted{route: short(3, "sub_a", "sub_b"), replies: replies(failing(), failing(), delivered())}},
		{name: "exhausted", script: &scripted{route: short(2, "sub_a"), replies: replies(failing())}},
		{name: "gone", script: &scripted{route: short(2, "sub_a"), replies: replies(status(carillon.OutcomeGone, 410))}},
		{name: "reject", script: &scripted{route: short(2, "sub_a"), replies: replies(carillon.Attempt{Outcome: carillon.OutcomeReject, Error: "address not allowed"})}},
		{name: "retry-after", script: &scripted{route: short(2, "sub_a"), replies: replies(busy, delivered())}},
		{name: "throttled", script: &scripted{route: short(2, "sub_a"), replies: replies(throttled, delivered())}},
		{name: "held-later", script: &scripted{route: short(2, "sub_a"), replies: replies(failing(), carillon.Attempt{Outcome: carillon.OutcomeHeld})}},
		{name: "deleted", script: &scripted{route: short(2, "sub_a"), replies: replies(failing(), carillon.Attempt{Outcome: carillon.OutcomeCanceled})}},
		{name: "broke-off", script: &scripted{route: short(2, "sub_a"), replies: replies(failing(), carillon.Attempt{Error: "panic"}, delivered())}},
		{name: "database-away", script: &scripted{
			route: short(2, "sub_a"), localFails: map[string]bool{activities.Route: true, activities.Record: true},
		}},
		{name: "paged", script: &scripted{route: paged, pages: []activities.PageResult{{Plans: short(1, "sub_b").Plans}}}},
		{name: "reopened", script: &scripted{route: short(2, "sub_a"), reopens: 1, replies: replies(carillon.Attempt{Outcome: carillon.OutcomeHeld}, delivered())}},
		{name: "refused", script: &scripted{route: short(2, "sub_a"), replies: replies(status(carillon.OutcomeRefused, 404))}},
		{name: "given-up-held", script: &scripted{route: holding(short(1, "sub_a")), replies: replies(failing())}},
		{name: "refused-goes-on", script: &scripted{route: short(1, "sub_a"), reopens: 1, replies: replies(status(carillon.OutcomeRefused, 404), delivered())}},
		{name: "probe-put-back", script: &scripted{route: short(0, "sub_a"), replies: replies(failing())}, kind: workflows.DispatchType,
			input: workflows.DispatchInput{Redelivery: &carillon.Redelivery{
				EventID: "evt_1", SubscriptionID: "sub_a", Number: 1, Probe: true, From: []carillon.DeliveryState{carillon.Held},
				Origin: carillon.Run{WorkflowID: "event/evt_1"},
			}}},
		{name: "recover", script: &scripted{route: short(0, "sub_a"), backlog: 3, replies: replies(failing(), delivered())}, kind: workflows.RecoverType,
			input: workflows.RecoverInput{
				Subscription: "sub_a", Requests: []workflows.RecoverRequest{{Backlog: carillon.Backlog{SubscriptionID: "sub_a"}}},
			}},
		{name: "recover-breaker", script: &scripted{
			route: short(0, "sub_a"), backlog: 3, probes: 3, openSince: start, probeAt: start, replies: replies(failing(), delivered()),
		}, kind: workflows.RecoverType, input: opened},
		{name: "recover-half-open", script: &scripted{openSince: start, probeAt: start}, kind: workflows.RecoverType, input: opened},
		{name: "slow", script: &scripted{route: slow, replies: replies(failing(), delivered())}},
		{name: "retry-now", script: &scripted{route: long, replies: replies(failing(), delivered())}, act: update(workflows.UpdateRetryNow)},
		{name: "cancel-delivery", script: &scripted{route: long, replies: replies(failing())}, act: update(workflows.UpdateCancel)},
		{name: "cancel-run", script: &scripted{route: long, replies: replies(failing())},
			act: func(ctx context.Context, c client.Client, run client.WorkflowRun) error {
				return c.CancelWorkflow(ctx, run.GetID(), run.GetRunID())
			}},
		{name: "batch", script: &scripted{batch: routed(short(2, "sub_a", "sub_b"), 3), most: 4}, kind: workflows.BatchType, input: batchInput(3)},
		{name: "batch-trouble", script: &scripted{batch: routed(short(2, "sub_a", "sub_b"), 3), replies: replies(failing(), delivered())},
			kind: workflows.BatchType, input: batchInput(3)},
		{name: "batch-retry", script: &scripted{replies: replies(delivered())}, kind: workflows.DispatchType, input: retryInput(short(2, "sub_a"), failing())},
		{name: "batch-paged", script: &scripted{batch: pagedBatch(), pages: []activities.PageResult{{Plans: short(1, "sub_b").Plans}}},
			kind: workflows.BatchType, input: batchInput(2)},
		{name: "batch-reopened", script: &scripted{
			batch: routed(short(2, "sub_a"), 2), reopens: 2, replies: replies(carillon.Attempt{Outcome: carillon.OutcomeHeld}, carillon.Attempt{Outcome: carillon.OutcomeHeld}, delivered()),
		}, kind: workflows.BatchType, input: batchInput(2)},
		{name: "batch-broke-off", script: &scripted{batch: routed(short(2, "sub_a"), 2), replies: replies(carillon.Attempt{Error: "panic"}, delivered())},
			kind: workflows.BatchType, input: batchInput(2)},
		{name: "prune", script: &scripted{prunes: []activities.PruneResult{
			{Deliveries: 50_000, More: true, Next: activities.PrunePlace{Subscription: "sub_a"}}, {Deliveries: 1, Events: 2},
		}}, kind: workflows.PruneType, input: workflows.PruneInput{Retention: carillon.Duration(90 * 24 * time.Hour)}},
		{name: "sweep", script: &scripted{sweeps: []activities.SweepResult{
			{Canceled: 500, More: true, Next: activities.SweepPlace{ReceivedAt: start, Event: "evt_1", Subscription: "sub_a"}}, {Failed: 1},
		}}, kind: workflows.SweepType, input: workflows.SweepInput{Overdue: carillon.Duration(time.Hour)}},
	}, gatherBranches()...)
}

// TestHistoriesReplay replays every recorded history against the code as it is.
// They stay for ever: a run of any of these shapes may be under way when a new
// version starts.
func TestHistoriesReplay(t *testing.T) {
	t.Parallel()
	if *record {
		recordHistories(t)
	}
	for _, b := range branches() {
		require.FileExists(t, filepath.Join(historiesDir, b.name+".json"), "make histories records it")
	}
	files, err := filepath.Glob(filepath.Join(historiesDir, "*.json"))
	require.NoError(t, err)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			replayer := sdkworker.NewWorkflowReplayer()
			register(replayer)
			text, err := os.Open(file)
			require.NoError(t, err)
			defer func() { require.NoError(t, text.Close()) }()
			history, err := client.HistoryFromJSON(text, client.HistoryJSONOptions{})
			require.NoError(t, err)
			// A run names its pages after itself, so its id matters.
			started := history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
			require.NoError(t, replayer.ReplayWorkflowHistoryWithOptions(nil, history, sdkworker.ReplayWorkflowHistoryOptions{
				OriginalExecution: workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()},
			}))
		})
	}
}

// recordHistories runs each branch that has no history on a real server.
func recordHistories(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	options := client.Options{
		HostPort: startServer(ctx, t),
		Identity: "recorder", // not the name of a machine
	}
	c, err := client.DialContext(ctx, options)
	require.NoError(t, err)
	defer c.Close()
	for _, b := range branches() {
		file := filepath.Join(historiesDir, b.name+".json")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		recordBranch(ctx, t, c, b, file)
	}
}

// register registers the workflows under their names.
func register(r interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}) {
	r.RegisterWorkflowWithOptions(workflows.Dispatch, workflow.RegisterOptions{Name: workflows.DispatchType})
	r.RegisterWorkflowWithOptions(workflows.Batch, workflow.RegisterOptions{Name: workflows.BatchType})
	r.RegisterWorkflowWithOptions(workflows.Gather, workflow.RegisterOptions{Name: workflows.GatherType})
	r.RegisterWorkflowWithOptions(workflows.Recover, workflow.RegisterOptions{Name: workflows.RecoverType})
	r.RegisterWorkflowWithOptions(workflows.Prune, workflow.RegisterOptions{Name: workflows.PruneType})
	r.RegisterWorkflowWithOptions(workflows.Sweep, workflow.RegisterOptions{Name: workflows.SweepType})
}

// startServer starts the embedded server until the test ends.
func startServer(ctx context.Context, t *testing.T) (address string) {
	server := exec.CommandContext(ctx, "../bin/carillon-devserver", "--dir", t.TempDir(), "--port", "0", "--web-port", "0")
	_, err := server.StdinPipe() // it lives as long as its input
	require.NoError(t, err)
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Wait() })
	for line := bufio.NewScanner(out); line.Scan(); {
		if _, err := fmt.Sscanf(line.Text(), "ready address=%s", &address); err == nil {
			return address
		}
	}
	t.Fatal("the server ended before it was ready")
	return ""
}

func recordBranch(ctx context.Context, t *testing.T, c client.Client, b branch, file string) {
	s := b.script
	s.now = time.Now
	if s.replies == nil {
		s.replies = map[string][]carillon.Attempt{}
	}
	var running []sdkworker.Worker
	for _, queue := range []string{workflows.DispatchQueue, workflows.DeliveriesQueue} {
		w := sdkworker.New(c, queue, sdkworker.Options{})
		register(w)
		registerScripted(w, s)
		require.NoError(t, w.Start())
		running = append(running, w)
	}
	defer func() {
		for _, w := range running {
			w.Stop()
		}
	}()
	kind, in := workflows.DispatchType, any(input())
	if b.kind != "" {
		kind, in = b.kind, b.input
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: fmt.Sprintf("event/evt_%s_%d", b.name, time.Now().UnixNano()), TaskQueue: workflows.DispatchQueue,
		WorkflowTaskTimeout: time.Minute,
	}, kind, in)
	require.NoError(t, err)
	if b.act != nil {
		require.Eventually(t, func() bool {
			value, err := c.QueryWorkflow(ctx, run.GetID(), "", workflows.QueryDeliveries)
			var views []workflows.DeliveryView
			return err == nil && value.Get(&views) == nil && len(views) == 1 && views[0].State == carillon.Retrying
		}, time.Minute, 50*time.Millisecond)
		require.NoError(t, b.act(ctx, c, run), b.name)
	}
	if err := run.Get(ctx, nil); b.name != "cancel-run" {
		require.NoError(t, err, b.name)
	}
	history := &historypb.History{}
	iter := c.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iter.HasNext() {
		event, err := iter.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	text, err := protojson.MarshalOptions{Indent: " "}.Marshal(history)
	require.NoError(t, err)
	host, err := os.Hostname() // part of the name of a sticky queue
	require.NoError(t, err)
	text = bytes.ReplaceAll(text, []byte(`"`+host+`:`), []byte(`"worker:`))
	require.NoError(t, os.MkdirAll(historiesDir, 0o750))
	require.NoError(t, os.WriteFile(file, append(text, '\n'), 0o600))
}
