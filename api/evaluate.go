package api

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/matching"
)

// maxEvaluateBytes is for an event and a condition beside it.
const maxEvaluateBytes = carillon.MaxEventBytes + maxConfigBytes

// evaluationView says whether an event matches, and why.
type evaluationView struct {
	Matched bool `json:"matched"`
	// Delivery is the state in which the delivery would begin; absent when there
	// would be none, or no subscription was asked about.
	Delivery carillon.DeliveryState `json:"delivery,omitempty"`
	// Reason is the rule that decided, Rules has all of them in order.
	Reason matching.Finding   `json:"reason"`
	Rules  []matching.Finding `json:"rules"`
	// Error is why the condition has no answer for the event.
	Error *noAnswerView `json:"error,omitempty"`
	// Note says what to bear in mind.
	Note string `json:"note,omitempty"`
}

type noAnswerView struct {
	Detail string `json:"detail"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// question is what evaluate is asked.
type question struct {
	// expression is nil when none was given.
	expression *string
	// event is one that was posted; nil when eventID names a past one.
	event   *carillon.Event
	eventID string
	// subscription is an id, empty when the expression is all there is.
	subscription string
}

// evaluate says what routing would make of an event, and why. It changes and
// delivers nothing.
func (s *Server) evaluate(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxEvaluateBytes, onlyJSON)
	if err != nil {
		return err
	}
	q, err := s.readQuestion(body)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	var sub carillon.Subscription
	if q.subscription != "" {
		if sub, err = s.deps.Store.Subscription(ctx, q.subscription); err != nil {
			return err
		}
	}
	pub, err := s.askedEvent(ctx, q)
	if err != nil {
		return err
	}
	view, err := s.explain(ctx, q, sub, pub)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, view)
}

// readQuestion checks all of what was posted, the condition included.
func (s *Server) readQuestion(body json.RawMessage) (question, error) {
	var q question
	f := readFields("", body)
	f.oneOf("event", "event_id")
	f.someOf("expression", "subscription")
	if f.has("expression") {
		expression := f.free("expression", maxConditionBytes)
		q.expression = &expression
		if len(expression) <= maxConditionBytes {
			_, err := s.deps.Conditions.Compile(expression)
			if err := f.include("expression", err); err != nil {
				return q, err
			}
		}
	} else {
		f.raw("expression")
	}
	q.subscription, q.eventID = f.named("subscription"), f.named("event_id")
	if posted := f.raw("event"); posted != nil {
		if len(posted) > carillon.MaxEventBytes {
			return q, carillon.Errorf(carillon.CodeTooLarge, "the event is larger than %d KiB", carillon.MaxEventBytes>>10)
		}
		event, _, err := s.readEvent(posted)
		if err := f.below("event", err); err != nil {
			return q, err
		}
		q.event = &event
	}
	return q, f.done()
}

// askedEvent returns the event that was posted, as if it were accepted now, or
// the past one out of its run's history.
func (s *Server) askedEvent(ctx context.Context, q question) (*carillon.Publication, error) {
	if q.event == nil {
		return s.pastEvent(ctx, q.eventID)
	}
	now := s.deps.Now().UTC().Truncate(time.Microsecond)
	if q.event.Time.IsZero() {
		q.event.Time = now
	}
	// A subscription that is saved now applies to what is posted now.
	return &carillon.Publication{Event: *q.event, ConfigVersion: math.MaxInt64, ReceivedAt: now}, nil
}

// pastEvent reads an event from the history of its run. One that no worker has
// taken up yet has a run, and no row.
func (s *Server) pastEvent(ctx context.Context, id string) (*carillon.Publication, error) {
	row, notFound := s.deps.Store.Event(ctx, id)
	run := row.Run
	if notFound != nil {
		if carillon.CodeOf(notFound) != carillon.CodeNotFound || strings.Contains(id, "/") {
			return nil, notFound
		}
		run = carillon.Run{WorkflowID: carillon.EventWorkflowID(id)}
	}
	ctx, stop := context.WithTimeout(ctx, historyTimeout)
	defer stop()
	pub, err := s.deps.History.Publication(ctx, run, id)
	if notFound != nil && carillon.CodeOf(err) == carillon.CodeExpired {
		return nil, notFound // there is neither a row nor a run
	}
	if err != nil {
		return nil, err
	}
	return pub, past(ctx, pub, notFound)
}

func (s *Server) explain(
	ctx context.Context, q question, sub carillon.Subscription, pub *carillon.Publication,
) (evaluationView, error) {
	if q.expression != nil {
		sub.Condition = *q.expression
	}
	event, err := matching.Read(pub)
	if err != nil {
		return evaluationView{}, err
	}
	ready := matching.Prepare(sub, s.deps.Conditions, nil).Carrying(channels.Carries(sub))
	explain := ready.Explain
	if q.subscription == "" {
		explain = ready.ExplainCondition
	}
	x, err := explain(ctx, event)
	if err != nil {
		return evaluationView{}, err
	}
	view := evaluationView{Matched: x.Matched, Reason: x.Reason, Rules: x.Findings}
	if x.Problem != nil {
		view.Error = &noAnswerView{Detail: x.Problem.Detail, Line: x.Problem.Line, Column: x.Problem.Column}
	}
	if q.subscription == "" {
		return view, nil
	}
	if x.Matched {
		view.Delivery = carillon.Pending
		if _, held := ready.Held(); held {
			view.Delivery = carillon.Held
		}
	}
	if x.Reason.Rule != matching.Created && sub.UpdatedAt.After(pub.ReceivedAt) {
		view.Note = "the subscription was changed after the event came in; this is what its present rules make of the event"
	}
	return view, nil
}

// oneOf asks for exactly one of two members.
func (f *fields) oneOf(name, other string) {
	switch {
	case f.members == nil:
	case f.has(name) && f.has(other):
		f.wrong(other, "and %s exclude each other", name)
	case !f.has(name) && !f.has(other):
		f.wrong(name, "is required, or else %s", other)
	}
}

// someOf asks for at least one of two members.
func (f *fields) someOf(name, other string) {
	if f.members != nil && !f.has(name) && !f.has(other) {
		f.wrong(name, "is required, or else %s, or both", other)
	}
}

// named takes an id, which may be left out, but not be empty.
func (f *fields) named(name string) string {
	if !f.has(name) {
		f.raw(name)
		return ""
	}
	return f.required(name, maxParamBytes)
}

// below adds the problems of a member that was read as a document of its own,
// with pointers from its root; it returns any other error as it is.
func (f *fields) below(name string, err error) error {
	if err == nil {
		return nil
	}
	problems, ok := problemsOf(err)
	if !ok {
		return err
	}
	for _, p := range problems {
		p.Pointer = f.at + "/" + name + p.Pointer
		f.problems = append(f.problems, p)
	}
	return nil
}
