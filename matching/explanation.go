package matching

import (
	"context"
	"errors"

	"github.com/carillon-dev/carillon"
)

// Result is what came of one rule.
type Result string

// The results. Held is the state's alone: the event matches, and its delivery
// is kept until the subscription takes it. NotCarried is how the format's rule
// fails: people asked for the event, but its payload cannot be written.
const (
	Passed     Result = "passed"
	Failed     Result = "failed"
	Held       Result = "held"
	NotCarried Result = "not_carried"
)

// maxDetailBytes bounds a detail, which can quote a scope or many patterns.
const maxDetailBytes = carillon.MaxErrorBytes

// Finding is one rule's result.
type Finding struct {
	Rule   Rule   `json:"rule"`
	Result Result `json:"result"`
	// Detail is for people.
	Detail string `json:"detail"`
}

// Explanation is why an event does or does not match.
type Explanation struct {
	Matched bool
	// Reason is the finding that decided: the first rule that failed, and else
	// the last one.
	Reason Finding
	// Findings has every rule in order, those after the deciding one, too.
	Findings []Finding
	// Problem is why the condition has no answer, without a pointer; nil when
	// it has one.
	Problem *carillon.Problem
}

// Explain applies every rule, and says what [Subscription.Decide] and
// [Subscription.Held] decide, and why. An error leaves the question open.
func (s *Subscription) Explain(ctx context.Context, e *Event) (Explanation, error) {
	x, err := s.explain(ctx, e, rules[:])
	if err != nil {
		return Explanation{}, err
	}
	state := Finding{Rule: State, Result: Passed, Detail: "the subscription is enabled and takes what matches"}
	if reason, held := s.Held(); held {
		state.Result, state.Detail = Held, reason+": what matches is held until it takes deliveries again"
	}
	x.Findings = append(x.Findings, state)
	if x.Matched {
		x.Reason = state
	}
	return x, nil
}

// ExplainCondition applies the condition alone.
func (s *Subscription) ExplainCondition(ctx context.Context, e *Event) (Explanation, error) {
	return s.explain(ctx, e, []rule{conditionRule})
}

func (s *Subscription) explain(ctx context.Context, e *Event, rules []rule) (Explanation, error) {
	x := Explanation{Matched: true}
	for _, r := range rules {
		ok, err := r.passes(ctx, s, e)
		f := Finding{Rule: r.name, Result: Passed}
		if noAnswer, is := errors.AsType[*NoAnswerError](err); is {
			detail, line, column := noAnswer.place()
			x.Problem = &carillon.Problem{Detail: carillon.Clip(detail, maxDetailBytes), Line: line, Column: column}
			f.Detail = carillon.Clip("the condition has no answer, which is no match: "+detail, maxDetailBytes)
		} else if err != nil {
			return Explanation{}, err
		} else {
			f.Detail = carillon.Clip(r.tell(s, e, ok), maxDetailBytes)
		}
		if !ok {
			f.Result = r.failure()
		}
		x.Findings = append(x.Findings, f)
		// The first that fails decides; while none does, the last one.
		if x.Matched {
			x.Matched, x.Reason = ok, f
		}
	}
	return x, nil
}
