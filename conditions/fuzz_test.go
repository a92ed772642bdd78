package conditions_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// maxCompileTime is what a fuzzed expression may take: far above what the bombs
// are held to, on a machine that does much else.
const maxCompileTime = 5 * time.Second

// FuzzCompile holds that any text compiles or is refused with places, and that
// what compiles has an answer or a reason.
func FuzzCompile(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add(c.Expression)
	}
	for _, b := range readBombs(f).Bombs {
		if b.Expression != "" {
			f.Add(unfold(b.Expression))
		}
	}
	env := newEnvironment(f)
	input, err := conditions.NewInput(sampleEvent())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		started := time.Now()
		condition, err := env.Compile(expression)
		if took := time.Since(started); took > maxCompileTime {
			t.Fatalf("%q: compiled for %s", expression, took)
		}
		if err != nil {
			var problems *carillon.Error
			if !errors.As(err, &problems) || problems.Code != carillon.CodeInvalid || len(problems.Problems) == 0 {
				t.Fatalf("%q: %v", expression, err)
			}
			for _, p := range problems.Problems {
				if p.Line < 1 || p.Column < 1 || p.Detail == "" || p.Line > strings.Count(expression, "\n")+2 {
					t.Fatalf("%q: a problem without a place: %+v", expression, p)
				}
				if strings.Contains(p.Detail, "cannot be compiled") {
					t.Fatalf("%q: the compiler panicked", expression)
				}
			}
			return
		}
		check(t, condition, input)
	})
}

// FuzzMatch holds that whatever an event holds, every condition of the cases
// has an answer or a reason.
func FuzzMatch(f *testing.F) {
	env := newEnvironment(f)
	var compiled []*conditions.Condition
	for _, c := range readCases(f) {
		if condition, err := env.Compile(c.Expression); err == nil {
			compiled = append(compiled, condition)
			f.Add(c.Event.Type, c.Event.Subject, c.Event.Scope["feed"], c.Event.Data)
		}
	}
	f.Fuzz(func(t *testing.T, eventType, subject, feed, data string) {
		input, err := conditions.NewInput(carillon.Event{
			Type: eventType, Subject: subject, Scope: map[string]string{"feed": feed}, Data: json.RawMessage(data),
		})
		if err != nil {
			if carillon.CodeOf(err) != carillon.CodeInvalid {
				t.Fatal(err)
			}
			return
		}
		for _, condition := range compiled {
			check(t, condition, input)
		}
	})
}

func check(t *testing.T, condition *conditions.Condition, input *conditions.Input) {
	t.Helper()
	matched, err := condition.Match(t.Context(), input)
	if err == nil {
		return
	}
	var failed *conditions.EvaluationError
	if !errors.As(err, &failed) || matched || failed.Reason == "" || len(failed.Reason) > carillon.MaxErrorBytes ||
		!utf8.ValidString(failed.Reason) || strings.Contains(failed.Reason, "internal error") {
		t.Fatalf("%s: %v, %v", condition, matched, err)
	}
}
