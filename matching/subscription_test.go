package matching_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/matching"
)

func environment(t *testing.T) *conditions.Environment {
	t.Helper()
	env, err := conditions.New()
	require.NoError(t, err)
	return env
}

func read(t *testing.T, event carillon.Event, version int64) *matching.Event {
	t.Helper()
	e, err := matching.Read(&carillon.Publication{Event: event, ConfigVersion: version})
	require.NoError(t, err)
	return e
}

func added(data string) carillon.Event {
	return carillon.Event{
		ID: "evt_1", Type: "package.added", Source: "registry.example.com",
		Scope: map[string]string{"feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
		Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), Data: json.RawMessage(data),
	}
}

// Every subscription that can be made of these parts meets every event.
func TestExplanationsAgreeWithDecisions(t *testing.T) {
	t.Parallel()
	env := environment(t)
	var events []*matching.Event
	for _, event := range []carillon.Event{
		added(`{"package":"MyCorp.CoolUtils"}`),
		added(`{"package":"p","cached":true}`),
		added(`{"package":"p","cached":"yes","score":9}`),
		{ID: "evt_2", Type: "ping", Source: "me", Data: json.RawMessage(`{}`)},
		{ID: "evt_3", Type: "subscription.disabled", Source: "carillon", Data: json.RawMessage(`{"subscription":"sub_1"}`)},
		{ID: "evt_4", Type: "subscription.disabled", Source: "carillon", Data: json.RawMessage(`{"subscription":"sub_2"}`)},
	} {
		events = append(events, read(t, event, 5), read(t, event, 6))
	}
	decided := map[matching.Rule]int{}
	for n := range 2 * 4 * 3 * 2 * 5 * 3 * 2 {
		pick := func(of int) int {
			i := n % of
			n /= of
			return i
		}
		sub := carillon.Subscription{
			ID: "sub_1", CreatedVersion: int64(5 + pick(2)),
			EventTypes:    [][]string{{"*"}, {"ping", "package.*"}, {"subscription.disabled"}, {"build.*"}}[pick(4)],
			Scope:         []map[string][]string{nil, {"feed": {"x", "internal-utils"}}, {"project": {"x"}}}[pick(3)],
			IncludeCached: pick(2) == 1,
			Condition:     []string{"", "true", "false", "data.score > 7", "nonsense"}[pick(5)],
			State:         []carillon.SubscriptionState{carillon.Enabled, carillon.Paused, carillon.Disabled}[pick(3)],
		}
		carries := []func(string) bool{nil, func(name string) bool { return name == "ping" }}[pick(2)]
		s := matching.Prepare(sub, env, nil).Carrying(carries)
		for _, e := range events {
			what := fmt.Sprintf("%+v %+v", sub, e)
			failed, err := s.Decide(t.Context(), e)
			x, explainErr := s.Explain(t.Context(), e)
			require.NoError(t, explainErr, what)
			require.Equal(t, failed == "", x.Matched, what)
			require.Len(t, x.Findings, 8, what)
			require.Contains(t, x.Findings, x.Reason, what)
			if failed != "" {
				require.Equal(t, failed, x.Reason.Rule, what)
				require.Equal(t, failed == matching.Format, x.Reason.Result == matching.NotCarried, what)
				require.Equal(t, failed != matching.Format, x.Reason.Result == matching.Failed, what)
			} else {
				_, held := s.Held()
				require.Equal(t, matching.State, x.Reason.Rule, what)
				require.Equal(t, held, x.Reason.Result == matching.Held, what)
			}
			if err != nil {
				var noAnswer *matching.NoAnswerError
				require.ErrorAs(t, err, &noAnswer)
				require.Equal(t, matching.Condition, failed)
				require.NotNil(t, x.Problem, what)
			}
			decided[x.Reason.Rule]++
		}
	}
	require.Len(t, decided, 8, "every rule decides some: %v", decided)
}

func TestAnEventThatTheFormatDoesNotCarryIsLeftOutAndSaidSo(t *testing.T) {
	t.Parallel()
	sub := carillon.Subscription{EventTypes: []string{"*"}, Format: "myget"}
	s := matching.Prepare(sub, environment(t), nil).Carrying(func(name string) bool { return name == "ping" })
	x, err := s.Explain(t.Context(), read(t, added(`{"package":"p"}`), 5))
	require.NoError(t, err)
	require.False(t, x.Matched)
	require.Equal(t, matching.Finding{
		Rule: matching.Format, Result: matching.NotCarried,
		Detail: "the format myget does not carry package.added, so the event is left out",
	}, x.Reason)
}

func TestDecidingAllocatesNothingForEventsThatDoNotMatch(t *testing.T) {
	env := environment(t)
	e := read(t, added(`{"package":"p","cached":true}`), 5)
	for name, sub := range map[string]carillon.Subscription{
		"created": {CreatedVersion: 6},
		"type":    {EventTypes: []string{"build.*", "package.deleted"}},
		"scope":   {EventTypes: []string{"*"}, Scope: map[string][]string{"feed": {"x", "y"}}},
		"cached":  {EventTypes: []string{"*"}, Condition: "true"},
		"match":   {EventTypes: []string{"*"}, IncludeCached: true},
	} {
		s := matching.Prepare(sub, env, nil)
		ctx := t.Context()
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := s.Decide(ctx, e); err != nil {
				t.Error(err)
			}
		}), name)
	}
}

func TestAContextThatEndsLeavesTheQuestionOpen(t *testing.T) {
	t.Parallel()
	s := matching.Prepare(carillon.Subscription{EventTypes: []string{"*"}, Condition: "data.score > 7"}, environment(t), nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	e := read(t, added(`{"package":"p"}`), 5)
	_, err := s.Decide(ctx, e)
	require.ErrorIs(t, err, context.Canceled)
	_, noAnswer := errors.AsType[*matching.NoAnswerError](err)
	require.False(t, noAnswer)
	_, err = s.Explain(ctx, e)
	require.ErrorIs(t, err, context.Canceled)
}

func TestDataThatIsNoJSONCannotBeRead(t *testing.T) {
	t.Parallel()
	_, err := matching.Read(&carillon.Publication{Event: added(`{`)})
	require.ErrorContains(t, err, "evt_1")
}

func TestAKnownConditionIsNotCompiledAgain(t *testing.T) {
	t.Parallel()
	env := environment(t)
	sub := carillon.Subscription{EventTypes: []string{"*"}, Condition: "pkg.name == 'p'"}
	known := matching.Prepare(sub, env, nil)
	e := read(t, added(`{"package":"p"}`), 5)
	sub.Name = "renamed"
	// Without an environment, compiling would panic.
	again := matching.Prepare(sub, nil, known)
	require.Equal(t, "renamed", again.Name)
	failed, err := again.Decide(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, matching.Condition, failed)

	sub.Condition = "true"
	failed, err = matching.Prepare(sub, env, known).Decide(t.Context(), e)
	require.NoError(t, err)
	require.Empty(t, failed)
}

func TestDetailsAreShort(t *testing.T) {
	t.Parallel()
	sub := carillon.Subscription{Scope: map[string][]string{"feed": {}}, Condition: strings.Repeat("x", 2000)}
	for range 100 {
		sub.EventTypes = append(sub.EventTypes, strings.Repeat("t", carillon.MaxTypeBytes))
		sub.Scope["feed"] = append(sub.Scope["feed"], strings.Repeat("s", carillon.MaxScopeBytes))
	}
	x, err := matching.Prepare(sub, environment(t), nil).Explain(t.Context(), read(t, added(`{}`), 5))
	require.NoError(t, err)
	for _, f := range x.Findings {
		require.NotEmpty(t, f.Detail, f.Rule)
		require.LessOrEqual(t, len(f.Detail), carillon.MaxErrorBytes, f.Rule)
	}
	require.LessOrEqual(t, len(x.Problem.Detail), carillon.MaxErrorBytes)
}
