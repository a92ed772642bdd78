package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/temporal"
)

// pollInterval is how often the parts are asked whether they are ready.
const pollInterval = 50 * time.Millisecond

// start returns when a first workflow start with search attributes would
// succeed, and Temporal Web answers.
func start(ctx context.Context, server temporal.Server, web *uiserver.Server, p ports) error {
	if err := server.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	go func() { _ = web.Start() }() // on a failure to listen it ends the process, saying why

	temporalClient, err := client.NewLazyClient(client.Options{
		HostPort:  address(p.frontend),
		Namespace: namespaceName,
		Logger:    sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer temporalClient.Close()
	for _, part := range []struct {
		name  string
		check func(context.Context) error
	}{
		{"search attributes", func(ctx context.Context) error { return addSearchAttributes(ctx, temporalClient) }},
		{"visibility", func(ctx context.Context) error { return checkVisibility(ctx, temporalClient) }},
		{"history", func(ctx context.Context) error { return checkHistory(ctx, temporalClient) }},
		{"web", func(ctx context.Context) error { return checkWeb(ctx, p) }},
	} {
		if err := poll(ctx, part.check); err != nil {
			return fmt.Errorf("wait for %s: %w", part.name, err)
		}
	}
	return nil
}

// stop ends both within stopTimeout. What is not done by then ends with the
// process, which the databases take well.
func stop(server temporal.Server, web *uiserver.Server) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		web.Stop()
		_ = server.Stop()
	}()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
	}
}

// poll calls check until it succeeds, and returns its last error when ctx ends
// first.
func poll(ctx context.Context, check func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer was: %w", ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// addSearchAttributes adds what a namespace made by an earlier version lacks.
func addSearchAttributes(ctx context.Context, c client.Client) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespaceName})
	if err != nil {
		return err
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, kind := range searchAttributes {
		if _, ok := have.GetCustomAttributes()[name]; !ok {
			missing[name] = kind
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace:        namespaceName,
		SearchAttributes: missing,
	})
	return err
}

// checkVisibility asks for runs by every search attribute, which fails until
// the services have taken notice of the namespace and of all of them.
func checkVisibility(ctx context.Context, c client.Client) error {
	names := slices.Sorted(maps.Keys(searchAttributes))
	_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Query: strings.Join(names, " = 'none' OR ") + " = 'none'",
	})
	return err
}

// checkHistory asks for a run that does not exist, which only the owner of a
// history shard can say.
func checkHistory(ctx context.Context, c client.Client) error {
	_, err := c.WorkflowService().DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: namespaceName,
		Execution: &commonpb.WorkflowExecution{WorkflowId: "carillon-devserver/none"},
	})
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return nil
	}
	return err
}

func checkWeb(ctx context.Context, p ports) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(p.web)+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("temporal web answers %s", response.Status)
	}
	return nil
}
