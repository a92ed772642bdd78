package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc/codes"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/workflows"
)

const (
	// wantRetention is what the documentation recommends.
	wantRetention = 30 * 24 * time.Hour
	// pollerAge is how long ago a poller that is still there asked at the
	// latest: a poll takes a minute, and the server remembers one for five.
	pollerAge = 2 * time.Minute

	// runsPage is how many deliveries are read at once, and runsAsked the
	// number of runs that are asked for, newest first.
	runsPage  = 250
	runsAsked = 2000
	// runsListed is how many deliveries of runs that ended are listed.
	runsListed = 20
)

var noTemporal = finding{verdict: skipped, text: "it needs Temporal and the namespace"}

// server says whether Temporal answers.
func (d *doctor) server(ctx context.Context) finding {
	if d.temporal == nil {
		return finding{verdict: skipped, text: "its settings cannot be used"}
	}
	info, err := d.temporal.WorkflowService().GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
	if err != nil {
		return d.unreachable(err)
	}
	d.reached, d.version = true, info.GetServerVersion()
	return ok("server %s answers at %s", d.version, d.options.HostPort)
}

func (d *doctor) unreachable(err error) finding {
	switch serviceerror.ToStatus(err).Code() {
	case codes.Unauthenticated, codes.PermissionDenied:
		return finding{
			verdict: failed, text: fmt.Sprintf("the server at %s refuses access (%v)", d.options.HostPort, err),
			remedy: "set TEMPORAL_API_KEY, or TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH, for TEMPORAL_NAMESPACE",
		}
	}
	return finding{
		verdict: failed, text: fmt.Sprintf("no server answers at %s (%v)", d.options.HostPort, err),
		remedy: "start it, or set TEMPORAL_ADDRESS to where it is, and TEMPORAL_TLS where it wants TLS",
	}
}

// namespace says whether it is there, and keeps histories for long enough.
func (d *doctor) namespace(ctx context.Context) finding {
	if !d.reached {
		return finding{verdict: skipped, text: "it needs Temporal"}
	}
	name := d.options.Namespace
	answer, err := d.temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: name})
	if _, missing := errors.AsType[*serviceerror.NamespaceNotFound](err); missing {
		return finding{
			verdict: failed, text: fmt.Sprintf("%q is not there", name),
			remedy: fmt.Sprintf("set TEMPORAL_NAMESPACE, or make it with: temporal operator namespace create --namespace %s --retention %s",
				name, hours(wantRetention)),
		}
	}
	if err != nil {
		return d.unreachable(err)
	}
	d.namespaced = true
	return judgeRetention(name, answer.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), d.longestSchedule(ctx))
}

// judgeRetention judges how long the histories of ended runs are kept.
func judgeRetention(namespace string, retention, longest time.Duration) finding {
	f := finding{
		verdict: warning,
		text:    fmt.Sprintf("%q keeps the histories of ended runs for %s", namespace, hours(retention)),
		remedy: fmt.Sprintf("temporal operator namespace update --namespace %s --retention %s",
			namespace, hours(max(wantRetention, longest))),
	}
	switch {
	case retention < longest:
		f.verdict = failed
		f.text += fmt.Sprintf(", less than the %s of the longest retry schedule: "+
			"events that a receiver missed meanwhile can no longer be delivered to it", hours(longest))
	case retention < wantRetention:
		f.text += fmt.Sprintf("; %s are recommended, as events older than that can no longer be read or delivered again", hours(wantRetention))
	default:
		f.verdict, f.remedy = fine, ""
	}
	return f
}

// searchAttributes says which are missing. Everything works without them, but
// for finding runs.
func (d *doctor) searchAttributes(ctx context.Context) finding {
	if !d.namespaced {
		return noTemporal
	}
	have, err := d.temporal.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: d.options.Namespace})
	if err != nil {
		return finding{verdict: unknown, text: fmt.Sprintf("they cannot be listed (%v); runs go without those that are missing", err)}
	}
	cluster, err := d.temporal.WorkflowService().GetClusterInfo(ctx, &workflowservice.GetClusterInfoRequest{})
	sql := err == nil && sqlVisibility(cluster.GetVisibilityStore())
	return judgeSearchAttributes(d.options.Namespace, have.GetCustomAttributes(), sql)
}

// sqlVisibility says whether a store for visibility is an SQL database, which
// has a fixed number of columns for search attributes.
func sqlVisibility(name string) bool {
	return slices.ContainsFunc([]string{"sqlite", "postgres", "mysql"}, func(kind string) bool {
		return strings.Contains(name, kind)
	})
}

// slots are how many search attributes of a type a namespace can have on an
// SQL database.
// https://docs.temporal.io/search-attribute#custom-search-attribute-limits
var slots = map[enumspb.IndexedValueType]int{
	enumspb.INDEXED_VALUE_TYPE_KEYWORD:      10,
	enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST: 3,
}

func judgeSearchAttributes(namespace string, have map[string]enumspb.IndexedValueType, sql bool) finding {
	want := workflows.SearchAttributes()
	const without = "runs go without search attributes until all are there; deliveries do not need them"
	var missing, mistyped []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch typ, there := have[name]; {
		case !there:
			missing = append(missing, name)
		case typ != want[name]:
			mistyped = append(mistyped, name)
		}
	}
	command := func(names []string) string {
		text := "temporal operator search-attribute create --namespace " + namespace
		for _, name := range names {
			text += " --name " + name + " --type " + want[name].String()
		}
		return text
	}
	if len(mistyped) > 0 {
		remove := "temporal operator search-attribute remove --namespace " + namespace
		for _, name := range mistyped {
			remove += " --name " + name
		}
		return finding{
			verdict: warning, text: strings.Join(mistyped, ", ") + ": another type than Carillon's; " + without,
			remedy: remove + " && " + command(slices.Sorted(slices.Values(append(missing, mistyped...)))),
		}
	}
	if len(missing) == 0 {
		return ok("all %d are there", len(want))
	}
	if sql {
		for typ, limit := range slots {
			taken, needed := []string{}, 0
			for name, t := range have {
				if t == typ {
					taken = append(taken, name)
				}
			}
			for _, name := range missing {
				if want[name] == typ {
					needed++
				}
			}
			if needed == 0 || len(taken)+needed <= limit {
				continue
			}
			slices.Sort(taken)
			return finding{
				verdict: warning,
				text: fmt.Sprintf("%s missing, and the namespace has no %s left: %d of %d are taken (%s); %s",
					strings.Join(missing, ", "), typ, len(taken), limit, strings.Join(taken, ", "), without),
				remedy: fmt.Sprintf("give Carillon a namespace of its own, or remove one that nobody uses with "+
					"temporal operator search-attribute remove --namespace %s --name NAME, and then: %s", namespace, command(missing)),
			}
		}
	}
	return finding{verdict: warning, text: strings.Join(missing, ", ") + " missing; " + without, remedy: command(missing)}
}

// fairness says how to have it: whether it is on is in the server's dynamic
// configuration, which no client can read.
func (d *doctor) fairness() finding {
	if !d.reached {
		return finding{verdict: skipped, text: "it needs Temporal"}
	}
	if olderThan(d.version, 1, 29) {
		return finding{
			verdict: warning, text: fmt.Sprintf("server %s does not know it: the backlog of one receiver delays the others'", d.version),
			remedy: "run Temporal 1.29 or later, with matching.enableFairness: true in its dynamic configuration",
		}
	}
	return finding{
		verdict: unknown,
		text: "no client can read whether matching.enableFairness is on; without it, " +
			"the backlog of one receiver delays the others'",
		remedy: "on a server of yours, set matching.enableFairness to true in the dynamic configuration; " +
			"Temporal Cloud has it in the namespace's settings",
	}
}

// olderThan reads a server's version; one that cannot be read is not old.
func olderThan(version string, major, minor int) bool {
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		return false
	}
	ma, err1 := strconv.Atoi(parts[0])
	mi, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (ma < major || ma == major && mi < minor)
}

// queue is a task queue, and what kind of tasks has to be asked for there.
type queue struct {
	name string
	typ  enumspb.TaskQueueType
}

var queues = []queue{
	{workflows.DispatchQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW},
	{workflows.DeliveriesQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY},
}

func (d *doctor) pollers(ctx context.Context, q queue) finding {
	if !d.namespaced {
		return noTemporal
	}
	answer, err := d.temporal.DescribeTaskQueue(ctx, q.name, q.typ)
	if err != nil {
		return d.unreachable(err)
	}
	workers := map[string]bool{}
	for _, p := range answer.GetPollers() {
		if d.now().Sub(p.GetLastAccessTime().AsTime()) < pollerAge {
			workers[p.GetIdentity()] = true
		}
	}
	if len(workers) == 0 {
		return finding{
			verdict: failed, text: "no worker polls it; events are taken, and wait",
			remedy: "start `carillon worker` or `carillon serve` with this TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, and see its /readyz",
		}
	}
	return ok("polled by %s", strings.Join(slices.Sorted(maps.Keys(workers)), ", "))
}

// runs looks for deliveries that wait for a run which has ended, as after it
// was terminated or deleted: nothing moves them any more.
func (d *doctor) runs(ctx context.Context) finding {
	if d.store == nil {
		return noDatabase
	}
	if !d.namespaced {
		return noTemporal
	}
	var (
		ended  = map[string]string{} // of a run: how it ended, empty while it goes on
		found  []string
		total  int
		filter = carillon.DeliveryFilter{States: []carillon.DeliveryState{carillon.Pending, carillon.Retrying}, Limit: runsPage}
	)
	for len(ended) < runsAsked {
		page, err := d.store.ListDeliveries(ctx, filter)
		if err != nil {
			return finding{verdict: failed, text: err.Error(), remedy: "see the database's log"}
		}
		for _, row := range page {
			how, known := ended[row.Run.WorkflowID]
			if !known {
				if how, err = d.end(ctx, row); err != nil {
					return finding{verdict: unknown, text: fmt.Sprintf("runs cannot be read (%v)", err), remedy: "run doctor again"}
				}
				ended[row.Run.WorkflowID] = how
			}
			if how == "" || !d.waits(ctx, row) {
				continue
			}
			total++
			if len(found) < runsListed {
				found = append(found, fmt.Sprintf("event %s, subscription %s: %s, and run %s %s",
					row.EventID, row.SubscriptionID, row.State, row.Run.WorkflowID, how))
			}
		}
		if len(page) < runsPage {
			break
		}
		last := page[len(page)-1]
		filter.Before = carillon.DeliveryCursor{ReceivedAt: last.ReceivedAt, EventID: last.EventID, SubscriptionID: last.SubscriptionID}
	}
	if total == 0 {
		return ok("every delivery under way has a run (%d runs asked)", len(ended))
	}
	if total > len(found) {
		found = append(found, fmt.Sprintf("and %d more", total-len(found)))
	}
	text := "1 delivery waits for a run that has ended"
	if total > 1 {
		text = fmt.Sprintf("%d deliveries wait for runs that have ended", total)
	}
	return finding{
		verdict: failed, text: text,
		remedy:  "POST /v1/events/EVENT/deliveries/SUBSCRIPTION/redeliver sends one again; the hourly sweep closes the others",
		details: found,
	}
}

// end says how the run that sees a delivery through has ended, and nothing
// while it goes on.
func (d *doctor) end(ctx context.Context, row carillon.Delivery) (string, error) {
	how, err := d.status(ctx, row.Run.WorkflowID)
	if err != nil || how != "is gone" || row.Run.WorkflowID == carillon.EventWorkflowID(row.EventID) {
		return how, err
	}
	// A run of its own that is not there may be one that its event's run has
	// not started yet.
	return d.status(ctx, carillon.EventWorkflowID(row.EventID))
}

func (d *doctor) status(ctx context.Context, workflowID string) (string, error) {
	run, err := d.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return "is gone", nil
	}
	if err != nil {
		return "", err
	}
	switch status := run.GetWorkflowExecutionInfo().GetStatus(); status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
		enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED:
		return "", nil
	default:
		return "is " + strings.ToLower(status.String()), nil
	}
}

// waits says whether a delivery is still what it was when its page was read: a
// run that ended meanwhile has written what became of it.
func (d *doctor) waits(ctx context.Context, row carillon.Delivery) bool {
	now, err := d.store.Delivery(ctx, row.EventID, row.SubscriptionID)
	return err == nil && now.State == row.State && now.Run == row.Run
}
