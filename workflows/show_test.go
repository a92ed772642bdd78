package workflows_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/workflows"
)

func TestSummaryNamesAnEventOnOneShortLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		event carillon.Event
		want  string
	}{
		{"a package", carillon.Event{Type: "package.added", Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0", Scope: map[string]string{"feed": "internal-utils"}},
			"package.added MyCorp.CoolUtils 3.2.0 · internal-utils"},
		{"an image by its tag", carillon.Event{Type: "package.added", Subject: "pkg:oci/hello@sha256:1e8d?repository_url=registry.example.com/acme/hello&tag=v1"},
			"package.added hello v1"},
		{"an npm scope", carillon.Event{Type: "package.added", Subject: "pkg:npm/%40acme/left-pad@1.0.0"}, "package.added @acme/left-pad 1.0.0"},
		{"no subject, no scope", carillon.Event{Type: "ping"}, "ping"},
		{"a subject that is no purl", carillon.Event{Type: "subscription.disabled", Subject: "sub_1"}, "subscription.disabled sub_1"},
		{"several scopes, in order", carillon.Event{Type: "ping", Scope: map[string]string{"project": "p", "feed": "f"}}, "ping · f · p"},
		{"several lines", carillon.Event{Type: "ping", Subject: "a\nb"}, "ping a b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, workflows.Summary(tt.event))
		})
	}
	long := workflows.Summary(carillon.Event{Type: "ping", Subject: strings.Repeat("ä", 300)})
	require.LessOrEqual(t, len(long), 200)
}

func TestDetailsAreATableThatNoNameCanBreak(t *testing.T) {
	t.Parallel()
	route := plans("sub_a", "sub_b")
	route.Plans[0].Name = "a | b `c` <img> [x](y)"
	route.ConditionErrors = []carillon.ConditionError{{SubscriptionID: "sub_c", Error: "no such key: score"}}
	s := &scripted{route: route, replies: map[string][]carillon.Attempt{"sub_a": {failing(), delivered()}}}
	env := newRun(t, s)
	var details string
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow("__temporal_workflow_metadata")
		require.NoError(t, err)
		var metadata sdk.WorkflowMetadata
		require.NoError(t, value.Get(&metadata))
		details = metadata.GetCurrentDetails()
	}, 10*time.Second)
	env.ExecuteWorkflow(workflows.DispatchType, input())
	require.Equal(t, `**package.added MyCorp.CoolUtils 3.2.0 · internal-utils**

| state | attempts | last | next | subscription |
|---|---|---|---|---|
| retrying | 1 of 8 | HTTP 503 | 2026-11-21 20:01:00Z | a \| b 'c' &lt;img> \[x](y) · webhook hooks.example.com `+"`sub_a`"+` |
| succeeded | 1 of 8 | HTTP 200 |  | watchers sub\_b · webhook hooks.example.com `+"`sub_b`"+` |

The condition of `+"`sub_c`"+` could not be evaluated: no such key: score
`, details)
}

// Summaries are in the recorded histories, as Temporal Web reads them.
func TestSummariesOfTimersAndAttemptsSayWhatIsGoingOn(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/histories/recovered.json")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	require.NoError(t, err)
	var summaries []string
	for _, event := range history.GetEvents() {
		if payload := event.GetUserMetadata().GetSummary(); payload != nil {
			var summary string
			require.NoError(t, converter.GetDefaultDataConverter().FromPayload(payload, &summary))
			summaries = append(summaries, summary)
		}
	}
	require.Contains(t, summaries, "attempt 1/4 webhook hooks.example.com · watchers sub_a")
	require.Contains(t, summaries, "retry 2/4 in 1s (HTTP 503) · watchers sub_a")
	require.Contains(t, summaries, "attempt 3/4 webhook hooks.example.com · watchers sub_a")
}
