package matching

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// Subscription is a subscription that is ready to be matched. Its Condition is
// the one expression that its own condition and its Match make together. It is
// safe for concurrent use.
type Subscription struct {
	carillon.Subscription
	condition *conditions.Condition // nil when it has none
	broken    error                 // why the condition cannot be used
	carries   func(eventType string) bool
}

// Compiler compiles conditions: a [*conditions.Environment], or a
// [*conditions.Cache] of one.
type Compiler interface {
	Compile(expression string) (*conditions.Condition, error)
}

// Prepare compiles the subscription's condition. A condition that does not
// compile has no answer for any event. known, when it has the same condition,
// spares the work; nil for none.
func Prepare(sub carillon.Subscription, env Compiler, known *Subscription) *Subscription {
	s := &Subscription{Subscription: sub}
	s.Condition = conditions.Effective(sub.Match, sub.Condition)
	if known != nil && known.Condition == s.Condition {
		s.condition, s.broken = known.condition, known.broken
	} else if s.Condition != "" {
		s.condition, s.broken = env.Compile(s.Condition)
	}
	return s
}

// Carrying makes it a subscription whose payloads carry only events of the types
// that carries is true for; nil is all, as before. It returns the subscription,
// which nobody may use before.
func (s *Subscription) Carrying(carries func(eventType string) bool) *Subscription {
	s.carries = carries
	return s
}

// Decide applies the rules in their order, up to the first that fails, which
// it names; "" means that the event matches. The error is a [*NoAnswerError]
// where the condition has no answer, which is no match; every other error
// leaves the question open.
func (s *Subscription) Decide(ctx context.Context, e *Event) (failed Rule, err error) {
	for i := range rules {
		ok, err := rules[i].passes(ctx, s, e)
		if err != nil || !ok {
			return rules[i].name, err
		}
	}
	return "", nil
}

// NoAnswerError says why a condition has no answer for an event, which is no
// match.
type NoAnswerError struct {
	// Err is a [*conditions.EvaluationError], or that of a condition that does
	// not compile.
	Err error
}

func (e *NoAnswerError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// place returns the reason for people, and where in the condition it is, from
// 1; 0 when that is not known.
func (e *NoAnswerError) place() (detail string, line, column int) {
	if failed, ok := errors.AsType[*conditions.EvaluationError](e.Err); ok {
		return failed.Reason, failed.Line, failed.Column
	}
	if invalid, ok := errors.AsType[*carillon.Error](e.Err); ok && len(invalid.Problems) > 0 {
		first := invalid.Problems[0]
		return fmt.Sprintf("%s: %s", invalid.Message, first.Detail), first.Line, first.Column
	}
	return e.Error(), 0, 0
}
