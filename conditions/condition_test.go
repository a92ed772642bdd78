package conditions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

func TestMatchIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t)
	input, err := conditions.NewInput(sampleEvent())
	require.NoError(t, err)
	var compiled []*conditions.Condition
	var want []string
	for _, expression := range []string{
		`pkg.name.glob('MyCorp.*') && data.score >= 7.5`,
		`data.packages.exists(p, p.name.matches('^left') && p.version.semver_in('^1'))`,
		// Errors that the library or an input shares between evaluations.
		`data.text.contains('a')`,
		`timestamp(int(data.huge)) > time`,
		`data.missing > 1`,
	} {
		condition, err := env.Compile(expression)
		require.NoError(t, err, expression)
		compiled = append(compiled, condition)
		want = append(want, verdict(t.Context(), condition, input))
	}
	var group sync.WaitGroup
	got := make([]string, 8)
	for worker := range got {
		group.Go(func() {
			for range 50 {
				for i, condition := range compiled {
					if v := verdict(t.Context(), condition, input); v != want[i] {
						got[worker] = v
					}
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, make([]string, len(got)), got)
}

func verdict(ctx context.Context, condition *conditions.Condition, input *conditions.Input) string {
	matched, err := condition.Match(ctx, input)
	return fmt.Sprint(matched, err)
}

func TestAContextThatEndedIsNoVerdict(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t)
	input, err := conditions.NewInput(sampleEvent())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, expression := range []string{``, `type == 'package.added'`, `data.packages.all(p, p.name != '')`} {
		condition, err := env.Compile(expression)
		require.NoError(t, err)
		_, err = condition.Match(ctx, input)
		require.ErrorIs(t, err, context.Canceled)
		var failed *conditions.EvaluationError
		require.NotErrorAs(t, err, &failed)
	}
}

func TestAReasonIsShort(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t)
	key := strings.Repeat("k", 1500)
	condition, err := env.Compile(fmt.Sprintf(`data['%s'] == 1`, key))
	require.NoError(t, err)
	input, err := conditions.NewInput(carillon.Event{})
	require.NoError(t, err)
	_, err = condition.Match(t.Context(), input)
	var failed *conditions.EvaluationError
	require.ErrorAs(t, err, &failed)
	require.LessOrEqual(t, len(failed.Reason), carillon.MaxErrorBytes)
	require.Equal(t, 1, failed.Line)
}

func TestLimitsOfAnExpression(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t)
	for _, c := range []struct {
		name, expression, wantError string
	}{
		{"the longest expression", pad(`actor == 'ä`, `'`, conditions.MaxExpressionChars), ""},
		{"one character too many", pad(`actor == 'ä`, `'`, conditions.MaxExpressionChars+1), "has 2049 characters; at most 2048"},
		{"many tests", join(`actor == 'x'`, 40), ""},
		{"too many nodes", join(`actor == 'x'`, 60), "limit"},
		{"too many nodes in macros", join(`data.a.exists(x, x == 1)`, 20), "limit"},
		{"deep brackets", strings.Repeat("(", 25) + "true" + strings.Repeat(")", 25), ""},
		{"brackets that are too deep", strings.Repeat("(", 33) + "true" + strings.Repeat(")", 33), "recursion"},
		{"negations that are too deep", strings.Repeat("!(", 60) + "true" + strings.Repeat(")", 60), "recursion"},
		{"fields that are too deep", "data" + strings.Repeat(".a", 60) + " == 1", "recursion"},
		{"bytes that are no text", "actor == '\xff'", "not valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := env.Compile(c.expression)
			if c.wantError == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
			require.ErrorContains(t, err, c.wantError)
		})
	}
}

func join(test string, times int) string {
	return strings.TrimSuffix(strings.Repeat(test+" || ", times), " || ")
}

// pad fills a string literal so that the expression has n characters.
func pad(before, after string, n int) string {
	return before + strings.Repeat("x", n-len([]rune(before))-len([]rune(after))) + after
}

func TestProblemsAreFew(t *testing.T) {
	t.Parallel()
	_, err := newEnvironment(t).Compile(join(`nope == 1`, 30))
	var problems *carillon.Error
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems.Problems, 10)
}

func TestWhatAConditionCannotReadDoesNotTouchOthers(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t)
	data, err := json.Marshal(map[string]any{
		"notes":  strings.Repeat("a", conditions.MaxStringBytes+1),
		"just":   strings.Repeat("a", conditions.MaxStringBytes),
		"list":   make([]int, conditions.MaxElements+1),
		"nested": map[string]any{"packages": []any{map[string]any{"notes": strings.Repeat("a", 9000)}}},
		"keys":   map[string]any{strings.Repeat("k", 9000): 1},
		"score":  8,
	})
	require.NoError(t, err)
	input, err := conditions.NewInput(carillon.Event{Data: data})
	require.NoError(t, err)
	for _, c := range []struct{ expression, wantError string }{
		{`data.score == 8 && data.just.startsWith('a')`, ""},
		{`data.nested.packages.size() == 1`, ""},
		{`'b' in data.keys`, "data.keys has a key of 9000 bytes; conditions read at most 8192"},
		{`data.notes.startsWith('a')`, "data.notes is a string of 8193 bytes; conditions read at most 8192"},
		{`data.nested.packages[0].notes != ''`, "data.nested.packages[0].notes is a string of 9000 bytes"},
		{`data.nested.packages.exists(p, p.notes == '')`, "data.nested.packages[0].notes is a string of 9000 bytes"},
		{`1 in data.list`, "data.list is a list of 2001 elements; conditions read at most 2000"},
	} {
		condition, err := env.Compile(c.expression)
		require.NoError(t, err, c.expression)
		matched, err := condition.Match(t.Context(), input)
		if c.wantError == "" {
			require.NoError(t, err, c.expression)
			require.True(t, matched, c.expression)
			continue
		}
		require.ErrorContains(t, err, c.wantError, c.expression)
		require.False(t, matched)
	}
}

// sampleEvent is an event of the usual size.
func sampleEvent() carillon.Event {
	return carillon.Event{
		ID: "evt_1", Type: "package.added", Source: "registry.example.com", Actor: "maartenba",
		Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0", Scope: map[string]string{"feed": "internal-utils"},
		Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC),
		Data: json.RawMessage(fmt.Sprintf(`{"package":"MyCorp.CoolUtils","version":"3.2.0","score":8,"size":48230,"cached":false,
			"tags":["stable","signed"],"huge":9000000000000000000,"text":%q,
			"packages":[{"name":"left-pad","version":"1.3.0"},{"name":"lodash","version":"4.17.21"}]}`, strings.Repeat("b", 9000))),
	}
}

func BenchmarkNewInput(b *testing.B) {
	event := sampleEvent()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conditions.NewInput(event); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	env := newEnvironment(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := env.Compile(`pkg.name.startsWith('MyCorp.') && data.score >= 7.5`); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	env := newEnvironment(b)
	input, err := conditions.NewInput(sampleEvent())
	require.NoError(b, err)
	for name, expression := range map[string]string{
		"comparison": `pkg.name.startsWith('MyCorp.') && data.score >= 7.5`,
		"glob":       `pkg.name.glob('mycorp.*')`,
		"regex":      `pkg.name.matches('^MyCorp[.]')`,
		"semver":     `pkg.version.semver_in('>=1.2 <4')`,
		"exists":     `data.packages.exists(p, p.name == 'lodash')`,
	} {
		condition, err := env.Compile(expression)
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := condition.Match(b.Context(), input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
