package conditions_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// testCase is one entry of testdata/*.yaml. Exactly one of Want, Error and
// EvaluationError is given; the errors are compared by their beginning or, for
// evaluation errors, by a part.
type testCase struct {
	Name            string    `yaml:"name"`
	Expression      string    `yaml:"expression"`
	Event           testEvent `yaml:"event"`
	Want            string    `yaml:"want"`
	Error           string    `yaml:"error"`
	EvaluationError string    `yaml:"evaluation_error"`
}

type testEvent struct {
	Type    string            `yaml:"type"`
	Source  string            `yaml:"source"`
	Actor   string            `yaml:"actor"`
	Subject string            `yaml:"subject"`
	Scope   map[string]string `yaml:"scope"`
	Time    time.Time         `yaml:"time"`
	Data    string            `yaml:"data"`
}

func (e testEvent) event() carillon.Event {
	return carillon.Event{
		Type: e.Type, Source: e.Source, Actor: e.Actor, Subject: e.Subject, Scope: e.Scope, Time: e.Time,
		Data: json.RawMessage(e.Data),
	}
}

func TestCases(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t)
	for _, c := range readCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			condition, err := env.Compile(c.Expression)
			if c.Error != "" {
				require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err), "it must not compile")
				var problems *carillon.Error
				require.ErrorAs(t, err, &problems)
				require.NotEmpty(t, problems.Problems)
				first := problems.Problems[0]
				require.Empty(t, first.Pointer)
				got := fmt.Sprintf("%d:%d %s", first.Line, first.Column, first.Detail)
				require.True(t, strings.HasPrefix(got, c.Error), "got  %s\nwant %s", got, c.Error)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.Expression, condition.String())
			input, err := conditions.NewInput(c.Event.event())
			require.NoError(t, err)
			matched, err := condition.Match(t.Context(), input)
			if c.EvaluationError != "" {
				var failed *conditions.EvaluationError
				require.ErrorAs(t, err, &failed)
				require.Contains(t, err.Error(), c.EvaluationError)
				require.False(t, matched)
				return
			}
			require.NoError(t, err)
			require.Contains(t, []string{"match", "no match"}, c.Want)
			require.Equal(t, c.Want == "match", matched)
		})
	}
}

func newEnvironment(tb testing.TB) *conditions.Environment {
	tb.Helper()
	env, err := conditions.New()
	require.NoError(tb, err)
	return env
}

func readCases(tb testing.TB) []testCase {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	var all []testCase
	for _, file := range files {
		if filepath.Base(file) == "bombs.yaml" {
			continue
		}
		var cases []testCase
		readYAML(tb, file, &cases)
		all = append(all, cases...)
	}
	return all
}

func readYAML(tb testing.TB, file string, into any) {
	tb.Helper()
	text, err := os.ReadFile(file)
	require.NoError(tb, err)
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	require.NoError(tb, decoder.Decode(into), file)
}
