package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// maxShownDeliveries is how many deliveries an event's answer has; the rest is
// in the list of deliveries.
const maxShownDeliveries = 100

// historyTimeout is how long a reader waits for what only Temporal has; without
// it the answer says so.
const historyTimeout = 5 * time.Second

// eventView is an event in a list: what the index has.
type eventView struct {
	ID         string            `json:"id"`
	Type       string            `json:"type"`
	Source     string            `json:"source"`
	Actor      string            `json:"actor,omitempty"`
	Scope      map[string]string `json:"scope,omitempty"`
	Subject    string            `json:"subject,omitempty"`
	Time       time.Time         `json:"time"`
	ReceivedAt time.Time         `json:"received_at"`
	Run        runView           `json:"run"`
	// ConditionErrors are conditions that could not be evaluated.
	ConditionErrors []carillon.ConditionError `json:"condition_errors,omitempty"`
}

// eventDetailView is an event with what its run's history keeps.
type eventDetailView struct {
	eventView
	// Data is null when the history is gone; then Note says why.
	Data json.RawMessage `json:"data"`
	Note string          `json:"note,omitempty"`

	Deliveries []deliveryView `json:"deliveries"`
	// MoreDeliveries is where all deliveries are, when these are not all.
	MoreDeliveries string `json:"more_deliveries,omitempty"`
}

func (s *Server) viewEvent(row carillon.EventRow) eventView {
	e := row.Event
	return eventView{
		ID: e.ID, Type: e.Type, Source: e.Source, Actor: e.Actor, Scope: e.Scope, Subject: e.Subject,
		Time: e.Time.UTC(), ReceivedAt: row.ReceivedAt.UTC(), Run: s.viewRun(row.Run), ConditionErrors: row.ConditionErrors,
	}
}

func (s *Server) listEvents(c echo.Context) error {
	q := readQuery(c)
	limit := q.limit()
	f := carillon.EventFilter{
		Type: q.text("type"), Source: q.text("source"), Subject: q.text("subject"), Scope: q.scope("scope"),
		Since: q.time("since"), Until: q.time("until"), Limit: limit + 1,
	}
	q.cursor(&f.Before.ReceivedAt, &f.Before.ID)
	if err := q.done(); err != nil {
		return err
	}
	rows, err := s.deps.Store.ListEvents(c.Request().Context(), f)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, newPage(rows, limit, s.viewEvent, func(last carillon.EventRow) string {
		return cursor(last.ReceivedAt, last.Event.ID)
	}))
}

func (s *Server) event(c echo.Context) error {
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if err := readQuery(c).done(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	row, err := s.deps.Store.Event(ctx, id)
	if carillon.CodeOf(err) == carillon.CodeNotFound {
		return s.unclaimedEvent(c, id, err)
	}
	if err != nil {
		return err
	}
	rows, err := s.deps.Store.EventDeliveries(ctx, id, "", maxShownDeliveries+1)
	if err != nil {
		return err
	}
	view := eventDetailView{eventView: s.viewEvent(row)}
	shown := newPage(rows, maxShownDeliveries, s.viewDelivery, func(carillon.Delivery) string {
		return "/v1/deliveries?event=" + id
	})
	view.Deliveries, view.MoreDeliveries = shown.Items, shown.NextCursor
	view.Data, view.Note, err = s.eventData(ctx, row.Run, id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, view)
}

// eventData reads an event's data out of its run's history, or says why it
// cannot.
func (s *Server) eventData(ctx context.Context, run carillon.Run, id string) (json.RawMessage, string, error) {
	ctx, stop := context.WithTimeout(ctx, historyTimeout)
	defer stop()
	pub, err := s.deps.History.Publication(ctx, run, id)
	if note, ok := historyNote(err); ok {
		return nil, note, nil
	}
	if err != nil {
		return nil, "", err
	}
	return pub.Event.Data, "", nil
}

// historyNote says why a history cannot be read now, when that is no fault.
func historyNote(err error) (string, bool) {
	switch carillon.CodeOf(err) {
	case carillon.CodeExpired:
		return newProblem(err).Detail, true
	case carillon.CodeUnavailable:
		return "Temporal, which keeps the history, does not answer now", true
	default:
		return "", false
	}
}

// unclaimedEvent shows an event that was accepted a moment ago, and that no
// worker has taken up: only its run knows it.
func (s *Server) unclaimedEvent(c echo.Context, id string, notFound error) error {
	if strings.Contains(id, "/") { // the id of a page's run, not of an event
		return notFound
	}
	ctx, stop := context.WithTimeout(c.Request().Context(), historyTimeout)
	defer stop()
	pub, err := s.deps.History.Publication(ctx, carillon.Run{WorkflowID: carillon.EventWorkflowID(id)}, id)
	if _, away := historyNote(err); away || carillon.CodeOf(err) == carillon.CodeNotFound {
		return notFound
	}
	if err != nil {
		return err
	}
	if err := past(ctx, pub, notFound); err != nil {
		return err
	}
	row := carillon.EventRow{
		Event: pub.Event, ReceivedAt: pub.ReceivedAt, Run: carillon.Run{WorkflowID: carillon.EventWorkflowID(id)},
	}
	return answer(c, http.StatusOK, eventDetailView{
		eventView: s.viewEvent(row), Data: pub.Event.Data, Deliveries: []deliveryView{},
		Note: "the event is accepted; a worker will match it with the subscriptions as soon as one is free",
	})
}
