package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

// environment is what a command beside the instance is started with. Later
// entries win.
func (i *instance) environment(more ...string) []string {
	return append(append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir,
		"CARILLON_HTTP_ADDR=" + fmt.Sprintf("127.0.0.1:%d", i.ports.api),
		"CARILLON_DATA_DIR=" + filepath.Join(i.dir, "carillon"),
		"CARILLON_ADMIN_KEY=" + adminKey, "CARILLON_SECRET_KEY=" + secretKey,
		"CARILLON_ALLOW_CIDRS=127.0.0.0/8",
		"TEMPORAL_ADDRESS=" + i.temporalAddress(),
	}, i.env...), more...)
}

// command runs a command to its end and returns what it printed and its exit
// code.
func command(t *testing.T, env []string, input string, args ...string) (printed string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, "carillon"), args...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	require.NoError(t, err)
	return string(out), 0
}

// namespace makes a namespace with search attributes, and waits until the
// server knows both.
func (i *instance) namespace(name string, retention time.Duration, attributes map[string]enumspb.IndexedValueType) {
	i.t.Helper()
	c := i.temporalClient()
	_, err := c.WorkflowService().RegisterNamespace(i.t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	require.NoError(i.t, err)
	i.eventually("namespace "+name+" is there", func() bool {
		list, err := c.OperatorService().ListSearchAttributes(i.t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: name})
		if err != nil {
			return false
		}
		for attribute := range attributes {
			if _, ok := list.GetCustomAttributes()[attribute]; !ok {
				_, _ = c.OperatorService().AddSearchAttributes(i.t.Context(), &operatorservice.AddSearchAttributesRequest{
					Namespace: name, SearchAttributes: attributes,
				})
				return false
			}
		}
		return true
	})
}

func TestDoctorNamesWhatIsBrokenAndItsRemedy(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	i := start(t)
	i.subscribe("/hook")
	out, code := command(t, i.environment(), "", "doctor")
	require.Zero(t, code, out)
	require.NotContains(t, out, "FAILED")
	require.NotContains(t, out, "warning")
	for _, check := range []string{
		"settings", "database", "clock", "endpoints", "Temporal", "namespace", "search attributes",
		"queue carillon-dispatch", "queue carillon-deliveries", "runs",
	} {
		require.Contains(t, out, "ok       "+check+": ")
	}
	require.Contains(t, out, "unknown  fairness: ")

	i.namespace("short", 24*time.Hour, nil)
	i.namespace("middling", 10*24*time.Hour, nil)
	i.namespace("full", month, map[string]enumspb.IndexedValueType{
		"A": enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST, "B": enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST,
		"C": enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST,
	})
	i.namespace("mistyped", month, map[string]enumspb.IndexedValueType{"CarillonState": enumspb.INDEXED_VALUE_TYPE_TEXT})
	empty := filepath.Join(t.TempDir(), "empty.db")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	profile := filepath.Join(t.TempDir(), "temporal.toml")
	require.NoError(t, os.WriteFile(profile, []byte("[profile.default]\naddress = 7233\n"), 0o600))
	nobody := freePorts(t, 1)[0]

	tests := []struct {
		name string
		env  []string
		code int
		want []string
	}{
		{
			"no Temporal", []string{fmt.Sprintf("TEMPORAL_ADDRESS=127.0.0.1:%d", nobody)}, 1,
			[]string{"FAILED   Temporal: no server answers at 127.0.0.1:", "set TEMPORAL_ADDRESS to where it is"},
		},
		{
			"no namespace", []string{"TEMPORAL_NAMESPACE=nowhere"}, 1,
			[]string{`FAILED   namespace: "nowhere" is not there`, "temporal operator namespace create --namespace nowhere --retention 720h"},
		},
		{
			"retention below the schedule", []string{"TEMPORAL_NAMESPACE=short"}, 1,
			[]string{
				`FAILED   namespace: "short" keeps the histories of ended runs for 24h, less than the 88h of the longest retry schedule`,
				"temporal operator namespace update --namespace short --retention 720h",
			},
		},
		{
			"retention below 30 days", []string{"TEMPORAL_NAMESPACE=middling"}, 1,
			[]string{`warning  namespace: "middling"`, "temporal operator namespace update --namespace middling --retention 720h"},
		},
		{
			"no search attributes", []string{"TEMPORAL_NAMESPACE=middling"}, 1,
			[]string{
				"warning  search attributes: CarillonEventType, CarillonFailing, CarillonScope, CarillonState, CarillonSubject missing",
				"Remedy: temporal operator search-attribute create --namespace middling --name CarillonEventType --type Keyword --name CarillonFailing --type KeywordList",
			},
		},
		{
			"no slot for a search attribute", []string{"TEMPORAL_NAMESPACE=full"}, 1,
			[]string{
				"the namespace has no KeywordList left: 3 of 3 are taken (A, B, C)",
				"temporal operator search-attribute remove --namespace full --name NAME",
			},
		},
		{
			"a search attribute of another type", []string{"TEMPORAL_NAMESPACE=mistyped"}, 1,
			[]string{
				"warning  search attributes: CarillonState: another type than Carillon's",
				"temporal operator search-attribute remove --namespace mistyped --name CarillonState && temporal operator search-attribute create",
			},
		},
		{
			"no worker", []string{"TEMPORAL_NAMESPACE=full"}, 1,
			[]string{
				"FAILED   queue carillon-dispatch: no worker polls it", "FAILED   queue carillon-deliveries: no worker polls it",
				"start `carillon worker` or `carillon serve`",
			},
		},
		{
			"no database", []string{"CARILLON_DATABASE_URL=sqlite:" + empty + ".not"}, 1,
			[]string{"FAILED   database: there is no SQLite database", "make one with: carillon migrate", "skipped  runs: it needs the database"},
		},
		{
			"a database without tables", []string{"CARILLON_DATABASE_URL=sqlite:" + empty}, 1,
			[]string{"FAILED   database: the database is at version 0 of its tables", "Remedy: carillon migrate"},
		},
		{
			"a database that is away", []string{"CARILLON_DATABASE_URL=postgres://carillon:hunter2@127.0.0.1:1/carillon?sslmode=disable"}, 1,
			[]string{"FAILED   database: it does not answer", "set CARILLON_DATABASE_URL to where it is"},
		},
		{
			"another secret key", []string{"CARILLON_SECRET_KEY=YW5vdGhlci1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE="}, 1,
			[]string{"FAILED   endpoints: 1 of 1 subscriptions have an endpoint that CARILLON_SECRET_KEY does not open", "behind the first and a comma"},
		},
		{
			"no secret key", []string{"CARILLON_SECRET_KEY="}, 1,
			[]string{"FAILED   settings: ", "openssl rand -base64 32", "skipped  endpoints: it needs CARILLON_SECRET_KEY"},
		},
		{
			"half a deployment", []string{"TEMPORAL_DEPLOYMENT_NAME=carillon"}, 1,
			[]string{"FAILED   settings: ", "TEMPORAL_WORKER_BUILD_ID is not; set both"},
		},
		{
			"a profile that cannot be read", []string{"TEMPORAL_CONFIG_FILE=" + profile}, 1,
			[]string{"FAILED   settings: ", "read Temporal's settings", "skipped  Temporal: "},
		},
		{
			"a setting that is none", []string{"CARILLON_SECRETKEY=hunter2"}, 2,
			[]string{"CARILLON_SECRETKEY: there is no such setting; the nearest is CARILLON_SECRET_KEY"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, code := command(t, i.environment(tt.env...), "", "doctor")
			require.Equal(t, tt.code, code, out)
			for _, want := range tt.want {
				require.Contains(t, out, want)
			}
			require.NotContains(t, out, "hunter2")
			require.NoFileExists(t, empty+".not", "doctor makes nothing")
		})
	}
}

func TestDoctorFindsDeliveriesOfARunThatWasTerminated(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/down", receiverDown)
	down := i.subscribe("/down", schedule(time.Hour))
	event, other := i.publish(added("1")), i.publish(added("2"))
	for _, e := range []client.Accepted{event, other} {
		i.awaitDelivery(e.ID, down.ID, carillon.Retrying)
	}
	out, code := command(t, i.environment(), "", "doctor")
	require.Zero(t, code, out)
	require.Contains(t, out, "ok       runs: every delivery under way has a run (2 runs asked)")

	require.NoError(t, i.temporalClient().TerminateWorkflow(t.Context(), event.Run.WorkflowID, "", "by a test"))
	out, code = command(t, i.environment(), "", "doctor")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "FAILED   runs: 1 delivery waits for a run that has ended. "+
		"Remedy: POST /v1/events/EVENT/deliveries/SUBSCRIPTION/redeliver")
	require.Contains(t, out, fmt.Sprintf("event %s, subscription %s: retrying, and run %s is terminated", event.ID, down.ID, event.Run.WorkflowID))
	require.NotContains(t, out, other.ID)
	require.Contains(t, out, "carillon: 1 check failed")
	t.Logf("doctor says:\n%s", out)
}
