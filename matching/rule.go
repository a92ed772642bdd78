package matching

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
)

// Rule names one of the things that make an event a subscription's.
type Rule string

// The rules, in the order in which they are applied. State decides nothing
// about the match: it says what becomes of it.
const (
	Created   Rule = "created"   // the subscription was there when the event was accepted
	Type      Rule = "type"      // one of its patterns names the event's type
	Format    Rule = "format"    // its format can carry events of the type
	Scope     Rule = "scope"     // the event has the scope that it asks for
	Cached    Rule = "cached"    // the package is not a cached one, or it wants those, too
	Own       Rule = "own"       // the event is not one of Carillon's about itself
	Condition Rule = "condition" // its condition is true
	State     Rule = "state"     // it takes deliveries now
)

// rule is one entry of the list. passes is on the path of every event and
// every subscription: it allocates nothing. tell is for explanations; it says
// why the rule passed, or why it did not.
type rule struct {
	name   Rule
	passes func(ctx context.Context, s *Subscription, e *Event) (bool, error)
	tell   func(s *Subscription, e *Event, passed bool) string
}

// failure is the result when the rule fails.
func (r rule) failure() Result {
	if r.name == Format {
		return NotCarried
	}
	return Failed
}

// rules has the cheap ones first: the condition is asked only when everything
// else agrees.
var rules = [...]rule{
	{Created, passesCreated, tellCreated},
	{Type, passesType, tellType},
	{Format, passesFormat, tellFormat},
	{Scope, passesScope, tellScope},
	{Cached, passesCached, tellCached},
	{Own, passesOwn, tellOwn},
	conditionRule,
}

var conditionRule = rule{Condition, passesCondition, tellCondition}

func passesCreated(_ context.Context, s *Subscription, e *Event) (bool, error) {
	return s.CreatedVersion <= e.configVersion, nil
}

func tellCreated(_ *Subscription, _ *Event, passed bool) string {
	if passed {
		return "the subscription was made before the event was accepted"
	}
	return "the subscription was made after the event was accepted, and does not apply to the past"
}

func passesType(_ context.Context, s *Subscription, e *Event) (bool, error) {
	return s.MatchesType(e.Type), nil
}

func tellType(s *Subscription, e *Event, passed bool) string {
	if passed {
		i := slices.IndexFunc(s.EventTypes, func(pattern string) bool { return carillon.MatchesType(pattern, e.Type) })
		return s.EventTypes[i] + " names " + e.Type
	}
	if carillon.IsOwn(e.Type) && slices.Contains(s.EventTypes, "*") {
		return "* leaves Carillon's own events out, and nothing else names " + e.Type
	}
	return fmt.Sprintf("none of its event types names %s: %s", e.Type, strings.Join(s.EventTypes, ", "))
}

func passesFormat(_ context.Context, s *Subscription, e *Event) (bool, error) {
	return s.carries == nil || s.carries(e.Type), nil
}

func tellFormat(s *Subscription, e *Event, passed bool) string {
	switch {
	case !passed:
		return fmt.Sprintf("the format %s does not carry %s, so the event is left out", s.Format, e.Type)
	case s.carries == nil:
		return "the format carries every event"
	default:
		return fmt.Sprintf("the format %s carries %s", s.Format, e.Type)
	}
}

func passesScope(_ context.Context, s *Subscription, e *Event) (bool, error) {
	return s.MatchesScope(e.Scope), nil
}

func tellScope(s *Subscription, e *Event, passed bool) string {
	switch {
	case len(s.Scope) == 0:
		return "the subscription asks for no scope"
	case passed:
		return "the event has the scope that the subscription asks for"
	}
	for _, key := range slices.Sorted(maps.Keys(s.Scope)) {
		value, ok := e.Scope[key]
		switch asked := strings.Join(s.Scope[key], " or "); {
		case !ok:
			return fmt.Sprintf("the event has no %s; the subscription asks for %s", key, asked)
		case !slices.Contains(s.Scope[key], value):
			return fmt.Sprintf("the event's %s is %s; the subscription asks for %s", key, value, asked)
		}
	}
	return "the event does not have the scope that the subscription asks for"
}

func passesCached(_ context.Context, s *Subscription, e *Event) (bool, error) {
	return !e.cached || s.IncludeCached, nil
}

func tellCached(_ *Subscription, e *Event, passed bool) string {
	switch {
	case !passed:
		return "the package was only cached from elsewhere (data.cached), and include_cached is false"
	case e.cached:
		return "the package was only cached from elsewhere, and include_cached is true"
	default:
		return "the event is about no cached package"
	}
}

func passesOwn(_ context.Context, s *Subscription, e *Event) (bool, error) {
	return e.about != s.ID || !carillon.IsOwn(e.Type), nil
}

func tellOwn(_ *Subscription, e *Event, passed bool) string {
	switch {
	case !passed:
		return "the event is Carillon's own about this very subscription, which never gets those"
	case carillon.IsOwn(e.Type):
		return "the event is Carillon's own, and not about this subscription"
	default:
		return "the event is not one of Carillon's own"
	}
}

func passesCondition(ctx context.Context, s *Subscription, e *Event) (bool, error) {
	if s.Condition == "" {
		return true, nil
	}
	if s.broken != nil {
		return false, &NoAnswerError{Err: s.broken}
	}
	return e.ask(ctx, s.condition)
}

func tellCondition(s *Subscription, e *Event, passed bool) string {
	switch {
	case strings.TrimSpace(s.Condition) == "":
		return "there is no condition"
	case passed:
		return "the condition is true"
	case s.Match.Mode == carillon.MatchNever:
		return "the subscription's mode is never"
	case s.Match.MinScore != nil && !e.scored():
		return fmt.Sprintf("the event has no score; the subscription asks for at least %g", *s.Match.MinScore)
	case !s.Match.IsZero():
		return "the condition is false: " + s.Condition
	default:
		return "the condition is false"
	}
}
