package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/server/common/testing/freeport"
)

var (
	eventType = sdk.NewSearchAttributeKeyKeyword("CarillonEventType")
	scope     = sdk.NewSearchAttributeKeyKeyword("CarillonScope")
	subject   = sdk.NewSearchAttributeKeyKeyword("CarillonSubject")
	state     = sdk.NewSearchAttributeKeyKeyword("CarillonState")
	failing   = sdk.NewSearchAttributeKeyKeywordList("CarillonFailing")
)

func startWorkflow(t *testing.T, c client.Client, id string) client.WorkflowRun {
	t.Helper()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID:        id,
		TaskQueue: "nobody-polls",
		TypedSearchAttributes: sdk.NewSearchAttributes(
			eventType.ValueSet("package.added"),
			scope.ValueSet("feed:internal-utils"),
			subject.ValueSet("pkg:nuget/MyCorp.CoolUtils@3.2.0"),
			state.ValueSet("retrying"),
			failing.ValueSet([]string{"sub_1", "sub_2"}),
		),
	}, "Dispatch")
	require.NoError(t, err)
	return run
}

const findQuery = "CarillonEventType = 'package.added' AND CarillonScope = 'feed:internal-utils' " +
	"AND CarillonSubject = 'pkg:nuget/MyCorp.CoolUtils@3.2.0' AND CarillonState = 'retrying' AND CarillonFailing = 'sub_2'"

// requireListed waits until visibility, which follows a run with a delay,
// lists these workflows and no others.
func requireListed(t *testing.T, c client.Client, ids ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: findQuery})
		if err != nil || len(list.GetExecutions()) != len(ids) {
			return false
		}
		listed := map[string]bool{}
		for _, execution := range list.GetExecutions() {
			listed[execution.GetExecution().GetWorkflowId()] = true
		}
		for _, id := range ids {
			if !listed[id] {
				return false
			}
		}
		return true
	}, patience, pollInterval)
}

func requireNamespace(t *testing.T, c client.Client) {
	t.Helper()
	namespace, err := c.WorkflowService().DescribeNamespace(t.Context(),
		&workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	require.NoError(t, err)
	require.Equal(t, 30*24*time.Hour, namespace.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
	attributes, err := c.OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	require.NoError(t, err)
	require.Equal(t, map[string]enumspb.IndexedValueType{
		"CarillonEventType": enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"CarillonScope":     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"CarillonSubject":   enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"CarillonState":     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"CarillonFailing":   enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST,
	}, attributes.GetCustomAttributes())
}

func TestServer(t *testing.T) {
	t.Parallel()

	t.Run("a new folder is ready for a workflow at once, and a second start still has it", func(t *testing.T) {
		t.Parallel()
		dir := oddFolder(t)
		p, c, web := startServer(t, roleServer, dir)
		startWorkflow(t, c, "first")
		requireNamespace(t, c)
		requireListed(t, c, "first")
		requireWeb(t, web)
		require.NoError(t, p.stdin.Close())
		require.Zero(t, p.wait(t), p.stderr.String())

		p, c, _ = startServer(t, roleServer, dir)
		requireNamespace(t, c)
		requireListed(t, c, "first")
		startWorkflow(t, c, "second")
		requireListed(t, c, "first", "second")
		require.NoError(t, p.stdin.Close())
		require.Zero(t, p.wait(t), p.stderr.String())
	})

	t.Run("a killed server's folder is taken over with all acknowledged runs", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		p, c, _ := startServer(t, roleServer, dir)
		startWorkflow(t, c, "first")
		require.NoError(t, p.cmd.Process.Kill())
		p.wait(t)

		_, c, _ = startServer(t, roleServer, dir)
		requireListed(t, c, "first")
	})

	t.Run("a deleted run is gone", func(t *testing.T) {
		t.Parallel()
		_, c, _ := startServer(t, roleServer, t.TempDir())
		run := startWorkflow(t, c, "first")
		requireListed(t, c, "first")
		_, err := c.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace:         "default",
			WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
		})
		require.NoError(t, err)
		requireListed(t, c)
	})

	t.Run("a folder of an earlier version gets the search attributes it lacks", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		p, _, _ := startServer(t, roleOldServer, dir)
		require.NoError(t, p.stdin.Close())
		require.Zero(t, p.wait(t), p.stderr.String())

		_, c, _ := startServer(t, roleServer, dir)
		startWorkflow(t, c, "first")
		requireNamespace(t, c)
		requireListed(t, c, "first")
	})
}

func requireWeb(t *testing.T, web string) {
	t.Helper()
	for _, path := range []string{"/", "/api/v1/namespaces/default"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web+path, http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, path)
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()

	t.Run("the server ends when its parent is killed, and its folder and ports can be had at once", func(t *testing.T) {
		t.Parallel()
		args := []string{
			"--dir", t.TempDir(),
			"--port", strconv.Itoa(freeport.MustGetFreePort()), "--web-port", strconv.Itoa(freeport.MustGetFreePort()),
		}
		orphan := startProcess(t, roleParent, args...)
		address, _ := orphan.ready(t)
		startWorkflow(t, dial(t, address), "first")
		require.NoError(t, orphan.cmd.Process.Kill())

		p := startProcess(t, roleServer, args...)
		// Parent and server share the output: it ends with the last of them.
		orphan.wait(t)
		address, _ = p.ready(t)
		requireListed(t, dial(t, address), "first")
		require.NoError(t, p.stdin.Close())
		require.Zero(t, p.wait(t), p.stderr.String())
	})

	for name, signal := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run("the server ends on "+name, func(t *testing.T) {
			t.Parallel()
			p, _, _ := startServer(t, roleServer, t.TempDir())
			require.NoError(t, p.cmd.Process.Signal(signal))
			require.Zero(t, p.wait(t), p.stderr.String())
		})
	}

	t.Run("the server leaves SIGINT to its parent when told to", func(t *testing.T) {
		t.Parallel()
		p, c, _ := startServer(t, roleServer, t.TempDir(), "--ignore-interrupt")
		require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
		startWorkflow(t, c, "first")
		requireListed(t, c, "first")
		require.NoError(t, p.stdin.Close())
		require.Zero(t, p.wait(t), p.stderr.String())
	})

	t.Run("an input that ends at once ends the server before it is ready", func(t *testing.T) {
		t.Parallel()
		p := startProcess(t, roleServer, "--dir", t.TempDir(), "--port", "0", "--web-port", "0")
		require.NoError(t, p.stdin.Close())
		require.Zero(t, p.wait(t), p.stderr.String())
	})
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address(0))
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	_, taken, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)

	for _, flag := range []string{"--port", "--web-port"} {
		t.Run("a taken "+flag+" is an exit with 2 that names it", func(t *testing.T) {
			t.Parallel()
			args := map[string]string{"--port": "0", "--web-port": "0"}
			args[flag] = taken
			p := startProcess(t, roleServer, "--dir", t.TempDir(), "--port", args["--port"], "--web-port", args["--web-port"])
			require.Equal(t, exitUsage, p.wait(t))
			require.Contains(t, p.stderr.String(), "carillon-devserver: "+flag+" "+taken+": cannot listen there")
		})
	}
}

func TestLockFolder(t *testing.T) {
	t.Parallel()

	t.Run("a folder is taken over as soon as the one before lets go", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		releaseFirst, err := lockFolder(t.Context(), dir)
		require.NoError(t, err)
		second := make(chan error, 1)
		go func() {
			release, err := lockFolder(t.Context(), dir)
			if err == nil {
				release()
			}
			second <- err
		}()
		releaseFirst()
		require.NoError(t, <-second)
	})

	t.Run("a folder in use is refused, naming the flag", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		release, err := lockFolder(t.Context(), dir)
		require.NoError(t, err)
		t.Cleanup(release)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = lockFolder(ctx, dir)
		require.ErrorContains(t, err, "--dir "+dir+": another server uses it")
	})
}

func TestParseOptions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"the folder is required":           {nil, "--dir is required"},
		"an unknown flag":                  {[]string{"--dir", "x", "--metrics", "1"}, "flag provided but not defined: -metrics"},
		"an argument":                      {[]string{"--dir", "x", "start"}, `unexpected argument "start"; there are flags only`},
		"a port that is none":              {[]string{"--dir", "x", "--port", "70000"}, "--port 70000: allowed are 0 to 65535"},
		"a web port below zero":            {[]string{"--dir", "x", "--web-port", "-1"}, "--web-port -1: allowed are 0 to 65535"},
		"one port for both":                {[]string{"--dir", "x", "--port", "8233"}, "--web-port 8233: this is --port already; choose another"},
		"a log level that does not exist":  {[]string{"--dir", "x", "--log-level", "loud"}, `--log-level "loud": allowed are debug, info, warn, error`},
		"a port that is not even a number": {[]string{"--dir", "x", "--port", "web"}, `invalid value "web" for flag -port: parse error`},
	} {
		t.Run(name+" is a mistake of usage", func(t *testing.T) {
			t.Parallel()
			_, err := parseOptions(test.args, t.Output())
			var usage *usageError
			require.ErrorAs(t, err, &usage)
			require.EqualError(t, err, test.want)
		})
	}
}
