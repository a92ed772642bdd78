package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

// start is when every test's run begins.
var start = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

// scripted stands in for the activities: it answers from a script and keeps
// what it was asked.
type scripted struct {
	mu sync.Mutex
	// route is the answer of Route; pages those of Page.
	route activities.RouteResult
	pages []activities.PageResult
	// replies are the outcomes of a subscription's attempts, in order; the last
	// one stays.
	replies map[string][]carillon.Attempt
	// backlog is how many deliveries Backlog finds; redeliveries counts them.
	// probes is how many may fail; 1 when it is 0.
	backlog, redeliveries, probes int
	// openSince and probeAt are those of an open breaker, which Backlog tells and
	// Probed changes.
	openSince, probeAt time.Time
	probed             []activities.ProbedInput
	// reopens is how many held deliveries Record finds enabled.
	reopens int
	// queue is what a Gather run works on.
	queue *queue
	woken []activities.WakeInput
	// batched makes Backlog say so.
	batched bool

	// localFails makes a local activity of the name fail.
	localFails map[string]bool

	// routeFails is how often Route fails as a regular activity.
	routeFails int

	// batch is the answer of RouteBatch; most is how many attempts one call of
	// AttemptBatch makes at most, 0 for all.
	batch activities.RouteBatchResult
	most  int

	now      func() time.Time
	attempts []tried
	// payloads are those that attempts were bound to.
	payloads []string
	// progress is what they were told was made before.
	progress []string
	records  []activities.RecordInput
	disables []activities.DisableInput
	regular  map[string]int
	inputs   []activities.RouteInput

	// prunes and sweeps are the answers of those activities.
	prunes []activities.PruneResult
	sweeps []activities.SweepResult
	pruned []activities.PruneInput
	swept  []activities.SweepInput
}

// tried is an attempt that was asked for.
type tried struct {
	Subscription string
	Number       int
	After        time.Duration
	Local        bool
	HasEvent     bool
}

var errAway = errors.New("away")

func (s *scripted) seen(ctx context.Context, name string) error {
	if activity.GetInfo(ctx).IsLocalActivity {
		if s.localFails[name] {
			return errAway
		}
		return nil
	}
	if s.regular == nil {
		s.regular = map[string]int{}
	}
	s.regular[name]++
	return nil
}

func (s *scripted) Route(ctx context.Context, in activities.RouteInput) (activities.RouteResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inputs = append(s.inputs, in)
	if err := s.seen(ctx, activities.Route); err != nil {
		return activities.RouteResult{}, err
	}
	if s.routeFails > 0 && !activity.GetInfo(ctx).IsLocalActivity {
		s.routeFails--
		return activities.RouteResult{}, errAway
	}
	return s.route, nil
}

func (s *scripted) Page(ctx context.Context, _ activities.PageInput) (activities.PageResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.seen(ctx, activities.Page); err != nil {
		return activities.PageResult{}, err
	}
	page := s.pages[0]
	s.pages = s.pages[1:]
	return page, nil
}

func (s *scripted) Attempt(ctx context.Context, in activities.AttemptInput) (carillon.Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.seen(ctx, activities.Attempt); err != nil {
		return carillon.Attempt{}, err
	}
	s.payloads = append(s.payloads, in.PayloadSHA256)
	s.progress = append(s.progress, string(in.Progress))
	s.attempts = append(s.attempts, tried{
		Subscription: in.SubscriptionID, Number: in.Number, After: s.now().Sub(start),
		Local: activity.GetInfo(ctx).IsLocalActivity, HasEvent: in.Publication != nil,
	})
	reply, replies := delivered(), s.replies[in.SubscriptionID]
	if len(replies) > 0 {
		reply = replies[0]
	}
	if len(replies) > 1 {
		s.replies[in.SubscriptionID] = replies[1:]
	}
	reply.SubscriptionID, reply.Number, reply.EventID = in.SubscriptionID, in.Number, "evt_1"
	reply.StartedAt = s.now()
	if reply.Error == "panic" {
		return carillon.Attempt{}, temporal.NewNonRetryableApplicationError("panic", "Panic", nil)
	}
	return reply, nil
}

func (s *scripted) RouteBatch(ctx context.Context, _ activities.RouteBatchInput) (activities.RouteBatchResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batch, s.seen(ctx, activities.RouteBatch)
}

func (s *scripted) AttemptBatch(ctx context.Context, in activities.AttemptBatchInput) (activities.AttemptBatchResult, error) {
	var out activities.AttemptBatchResult
	for i, try := range in.Tries {
		if s.most > 0 && i == s.most {
			break
		}
		attempt, err := s.Attempt(ctx, activities.AttemptInput{
			Run: in.Run, Publication: &in.Publications[try.Event], SubscriptionID: try.Subscription, Number: 1,
		})
		if err != nil {
			return out, err
		}
		attempt.EventID = in.Publications[try.Event].Event.ID
		out.Attempts = append(out.Attempts, attempt)
	}
	return out, nil
}

func (s *scripted) Record(ctx context.Context, in activities.RecordInput) (activities.RecordResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.seen(ctx, activities.Record); err != nil {
		return activities.RecordResult{}, err
	}
	s.records = append(s.records, in)
	var out activities.RecordResult
	for _, row := range in.Rows {
		if row.State == carillon.Held && s.reopens > 0 {
			s.reopens--
			out.Reopened = append(out.Reopened, row.Subscription)
		}
	}
	return out, nil
}

func (s *scripted) Reclaim(ctx context.Context, _ activities.ReclaimInput) (activities.RouteResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.route, s.seen(ctx, activities.Reclaim)
}

func (s *scripted) Disable(ctx context.Context, in activities.DisableInput) (activities.DisableResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disables = append(s.disables, in)
	if s.queue != nil && in.Policy == carillon.DisableExhausted {
		s.queue.state = carillon.Disabled
	}
	return activities.DisableResult{Disabled: in.Policy != carillon.DisableNever}, s.seen(ctx, activities.Disable)
}

// last returns what was last recorded of each subscription.
func (s *scripted) last() map[string]activities.Row {
	rows := map[string]activities.Row{}
	for _, r := range s.records {
		for _, row := range r.Rows {
			rows[row.Subscription] = row
		}
	}
	return rows
}

// after returns when each attempt of a subscription was made.
func (s *scripted) after(subscription string) []time.Duration {
	var at []time.Duration
	for _, a := range s.attempts {
		if a.Subscription == subscription {
			at = append(at, a.After)
		}
	}
	return at
}

// Backlog answers with what is left of the scripted backlog, one at a time.
func (s *scripted) Backlog(ctx context.Context, _ activities.BacklogInput) (activities.BacklogResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := activities.BacklogResult{State: carillon.Enabled, Total: s.backlog, Delays: slices.Repeat([]carillon.Duration{carillon.Duration(time.Second)}, max(1, s.probes)),
		OpenSince: s.openSince, ProbeAt: s.probeAt, Batched: s.batched}
	if s.backlog > 0 {
		s.backlog--
		s.redeliveries++
		out.Oldest = []carillon.Redelivery{{
			EventID: "evt_1", SubscriptionID: "sub_a", Number: s.redeliveries, Probe: true, From: []carillon.DeliveryState{carillon.Held},
		}}
	}
	return out, s.seen(ctx, activities.Backlog)
}

func (s *scripted) Probed(_ context.Context, in activities.ProbedInput) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probed = append(s.probed, in)
	if in.Close || in.Half {
		s.openSince = time.Time{}
	}
	s.probeAt = in.NextAt
	return nil
}

func registerScripted(r interface {
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}, s *scripted) {
	for name, fn := range map[string]any{
		activities.Route: s.Route, activities.Page: s.Page, activities.Attempt: s.Attempt,
		activities.Record: s.Record, activities.Disable: s.Disable, activities.Reclaim: s.Reclaim,
		activities.RouteBatch: s.RouteBatch, activities.AttemptBatch: s.AttemptBatch, activities.Backlog: s.Backlog,
		activities.Probed: s.Probed,
		activities.Gather: s.Gather, activities.Send: s.Send, activities.Settle: s.Settle,
		activities.Wake: s.Wake, activities.Regather: s.Regather,
		activities.Prune: s.Prune, activities.Sweep: s.Sweep,
	} {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

// newRun returns a run in virtual time with scripted activities.
func newRun(t *testing.T, s *scripted) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(start)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "event/evt_1", TaskQueue: workflows.DispatchQueue})
	env.RegisterWorkflowWithOptions(workflows.Dispatch, workflow.RegisterOptions{Name: workflows.DispatchType})
	env.RegisterWorkflowWithOptions(workflows.Gather, workflow.RegisterOptions{Name: workflows.GatherType})
	env.RegisterWorkflowWithOptions(workflows.Batch, workflow.RegisterOptions{Name: workflows.BatchType})
	s.now = env.Now
	if s.replies == nil {
		s.replies = map[string][]carillon.Attempt{}
	}
	registerScripted(env, s)
	return env
}

func input() workflows.DispatchInput {
	return workflows.DispatchInput{
		Publication: &carillon.Publication{
			Event: carillon.Event{
				ID: "evt_1", Type: "package.added", Source: "registry.example.com",
				Scope: map[string]string{"feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
				Time: start, Data: json.RawMessage(`{"package":"MyCorp.CoolUtils","version":"3.2.0"}`),
			},
			Fingerprint: "f", ConfigVersion: 7, ReceivedAt: start,
		},
		SearchAttributes: true,
	}
}

func plan(subscription string) activities.Plan {
	return activities.Plan{
		Subscription: subscription, Name: "watchers " + subscription, Channel: "webhook", Host: "hooks.example.com",
		State: carillon.Pending, Delays: carillon.DefaultRetry().Schedule, Disable: carillon.DisableExhausted, Generation: 3,
	}
}

func plans(subscriptions ...string) activities.RouteResult {
	var out activities.RouteResult
	for _, s := range subscriptions {
		out.Plans = append(out.Plans, plan(s))
	}
	return out
}

func status(outcome carillon.Outcome, code int) carillon.Attempt {
	return carillon.Attempt{
		Outcome: outcome, Error: fmt.Sprintf("HTTP %d", code), DurationMS: 12,
		Response: &carillon.Response{Status: code},
	}
}

func delivered() carillon.Attempt {
	a := status(carillon.OutcomeDelivered, 200)
	a.Error = ""
	return a
}
func failing() carillon.Attempt { return status(carillon.OutcomeRetry, 503) }

func result(t *testing.T, env *testsuite.TestWorkflowEnvironment) workflows.DispatchResult {
	t.Helper()
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	var out workflows.DispatchResult
	require.NoError(t, env.GetWorkflowResult(&out))
	return out
}

// accepts expects an update to be accepted and completed.
func accepts(t *testing.T) *testsuite.TestUpdateCallback {
	return &testsuite.TestUpdateCallback{
		OnAccept:   func() {},
		OnReject:   func(err error) { t.Errorf("rejected: %v", err) },
		OnComplete: func(_ any, err error) { require.NoError(t, err) },
	}
}
