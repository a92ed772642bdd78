package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	temporal "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// receiverDown is the answer of a receiver that has trouble of its own.
var receiverDown = receiver.Reply{Status: http.StatusServiceUnavailable}

// half is a process that is the API alone, or the worker alone.
type half struct {
	*process
	at *instance // with the address of the process
}

// launch starts a command beside the instance, on a port of its own.
func (i *instance) launch(name string, port int, env ...string) half {
	i.t.Helper()
	at := *i
	at.ports.api = port
	env = append(at.environment("CARILLON_LOG_LEVEL=debug"), env...)
	return half{run(i.t, env, binary(i.t, "carillon"), name), &at}
}

// apart is an installation on PostgreSQL, at work in one process before, that
// goes on with the API in a process of its own and no worker yet.
func apart(t *testing.T) *instance {
	t.Helper()
	databaseURL, ok := dbtest.Postgres(t)
	if !ok {
		return nil
	}
	i := start(t, "CARILLON_DATABASE_URL="+databaseURL)
	i.carillon.stop(t)
	i.carillon = i.launch("api", i.ports.api).process
	i.awaitReady()
	return i
}

func TestAWorkerIsKilledAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	i := apart(t)
	if i == nil {
		return // left out, which dbtest says
	}
	free := freePorts(t, 2)
	_, ready := i.get("/readyz")
	require.Contains(t, ready, "temporal")
	require.NotContains(t, ready, "worker", "an API alone needs none to take events")

	first := i.launch("worker", free[0])
	first.at.awaitReady()
	_, ready = first.at.get("/readyz")
	require.Contains(t, ready, `"worker":{"ok":true}`)
	status, _ := first.at.get("/livez")
	require.Equal(t, http.StatusOK, status)
	status, metrics := first.at.get("/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, metrics, "go_goroutines")
	status, _ = first.at.get("/v1/events")
	require.Equal(t, http.StatusNotFound, status, "a worker answers no API")

	release := make(chan struct{})
	i.hooks.Script("/hangs", receiver.Reply{Hang: release}, receiver.Reply{})
	i.hooks.Script("/flaky", receiverDown, receiverDown, receiver.Reply{})
	steady := i.subscribe("/steady")
	flaky := i.subscribe("/flaky", schedule(time.Second, time.Second, time.Second))
	hangs := i.subscribe("/hangs")

	var events []string
	for n := range 10 {
		events = append(events, i.publish(added(fmt.Sprintf("before-%d", n))).ID)
	}
	i.requests("/hangs", 1) // an attempt is under way
	first.kill()
	close(release)
	for n := range 10 {
		events = append(events, i.publish(added(fmt.Sprintf("between-%d", n))).ID)
	}
	i.awaitReady() // all along

	second := i.launch("worker", free[1])
	second.at.awaitReady()
	for n := range 10 {
		events = append(events, i.publish(added(fmt.Sprintf("after-%d", n))).ID)
	}
	for _, event := range events {
		for _, sub := range []client.Subscription{steady, flaky, hangs} {
			i.awaitDelivery(event, sub.ID, carillon.Succeeded)
		}
	}
	require.NoError(t, second.cmd.Process.Signal(syscall.SIGTERM))
	<-second.ended
	require.Zero(t, second.cmd.ProcessState.ExitCode(), second.log.String())
	i.awaitReady()
}

func TestAVersionedWorkerTakesItsDeploymentsEvents(t *testing.T) {
	t.Parallel()
	i := apart(t)
	if i == nil {
		return // left out, which dbtest says
	}
	sub := i.subscribe("/hook")
	w := i.launch("worker", freePorts(t, 1)[0], "TEMPORAL_DEPLOYMENT_NAME=carillon", "TEMPORAL_WORKER_BUILD_ID=one")
	w.at.awaitReady()
	event := i.publish(added("1"))

	c := i.temporalClient()
	deployment := c.WorkerDeploymentClient().GetHandle("carillon")
	i.eventually("the version is the current one", func() bool {
		_, err := deployment.SetCurrentVersion(t.Context(), temporal.WorkerDeploymentSetCurrentVersionOptions{BuildID: "one"})
		return err == nil
	})
	i.awaitDelivery(event.ID, sub.ID, carillon.Succeeded)
	described, err := c.DescribeWorkflowExecution(t.Context(), event.Run.WorkflowID, "")
	require.NoError(t, err)
	info := described.GetWorkflowExecutionInfo().GetVersioningInfo()
	require.Equal(t, enumspb.VERSIONING_BEHAVIOR_AUTO_UPGRADE, info.GetBehavior())
	require.Equal(t, worker.WorkerDeploymentVersion{DeploymentName: "carillon", BuildID: "one"}, worker.WorkerDeploymentVersion{
		DeploymentName: info.GetDeploymentVersion().GetDeploymentName(), BuildID: info.GetDeploymentVersion().GetBuildId(),
	})

	out, _ := command(t, i.environment(), "", "doctor")
	require.Contains(t, out, "ok       queue carillon-dispatch: ")
	require.Contains(t, out, "ok       queue carillon-deliveries: ")
}

func TestListenVerifiesWhatPublishCaused(t *testing.T) {
	t.Parallel()
	i := start(t)
	port := freePorts(t, 1)[0]
	sub := i.subscribe("/hook", func(s *client.Subscription) {
		s.Endpoint = client.Webhook{URL: fmt.Sprintf("http://127.0.0.1:%d/hook", port)}
	})
	listen := run(t, i.environment("CARILLON_LISTEN_SECRET="+sub.Secret()), binary(t, "carillon"), "listen", "--port", strconv.Itoa(port))
	i.eventually("it listens", func() bool { return strings.Contains(listen.log.String(), "listening on http://127.0.0.1:") })

	text, err := json.Marshal(added("1"))
	require.NoError(t, err)
	out, code := command(t, i.environment(), string(text), "publish", "-")
	require.Zero(t, code, out)
	require.Contains(t, out, "accepted evt_")
	id, _, _ := strings.Cut(strings.TrimPrefix(out, "accepted "), ",")
	i.eventually("it arrives", func() bool {
		return strings.Contains(listen.log.String(), "POST /hook "+id+", signature verified\n")
	})
	require.Contains(t, listen.log.String(), `"package":"MyCorp.CoolUtils"`)
	require.NotContains(t, listen.log.String(), sub.Secret())

	out, code = command(t, i.environment(), `{"type":"package.adde","source":"s","data":{}}`, "publish", "-")
	require.Equal(t, 1, code, "the API refuses it")
	require.Contains(t, out, "/type")

	listen.stop(t)
	require.Zero(t, listen.cmd.ProcessState.ExitCode())
}
