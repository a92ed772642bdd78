package api

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

type alertStore interface {
	// Alerts returns alerts of one inbox, newest first, or oldest first after a
	// time.
	Alerts(ctx context.Context, f carillon.AlertFilter) ([]carillon.Alert, error)
	CountAlerts(ctx context.Context, owner string) (carillon.AlertCount, error)
	// ReadAlerts and DeleteAlerts say how many alerts they changed.
	ReadAlerts(ctx context.Context, c carillon.AlertChoice, now time.Time) (int, error)
	DeleteAlerts(ctx context.Context, c carillon.AlertChoice) (int, error)
}

// maxAlertIDs is how many alerts one request may name.
const maxAlertIDs = 250

// alertView is an alert as it is answered.
type alertView struct {
	ID           string     `json:"id"`
	Owner        string     `json:"owner"`
	Event        string     `json:"event"`
	EventType    string     `json:"event_type"`
	Subscription string     `json:"subscription,omitempty"`
	Level        string     `json:"level"`
	Title        string     `json:"title"`
	Text         string     `json:"text,omitempty"`
	Link         string     `json:"link,omitempty"`
	At           time.Time  `json:"at"`
	ReadAt       *time.Time `json:"read_at,omitempty"`
}

func viewAlert(a carillon.Alert) alertView {
	return alertView{
		ID: a.ID, Owner: a.Owner, Event: a.EventID, EventType: a.EventType, Subscription: a.SubscriptionID,
		Level: a.Level, Title: a.Title, Text: a.Text, Link: a.Link, At: a.At.UTC(), ReadAt: someTime(a.ReadAt),
	}
}

func (s *Server) listAlerts(c echo.Context) error {
	q := readQuery(c)
	limit := q.limit()
	f := carillon.AlertFilter{Owner: q.text("owner"), Unread: q.yes("unread"), Limit: limit + 1}
	var at time.Time
	q.cursor(&at, &f.Before)
	if err := q.done(); err != nil {
		return err
	}
	alerts, err := s.deps.Store.Alerts(c.Request().Context(), f)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, newPage(alerts, limit, viewAlert, func(last carillon.Alert) string {
		return cursor(last.At, last.ID)
	}))
}

type alertCountView struct {
	Total  int `json:"total"`
	Unread int `json:"unread"`
}

func (s *Server) countAlerts(c echo.Context) error {
	q := readQuery(c)
	owner := q.text("owner")
	if err := q.done(); err != nil {
		return err
	}
	count, err := s.deps.Store.CountAlerts(c.Request().Context(), owner)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, alertCountView(count))
}

// changedView says how many alerts a request changed.
type changedView struct {
	Changed int `json:"changed"`
}

func (s *Server) readAlerts(c echo.Context) error {
	return s.changeAlerts(c, func(ctx context.Context, choice carillon.AlertChoice) (int, error) {
		return s.deps.Store.ReadAlerts(ctx, choice, s.deps.Now())
	})
}

func (s *Server) deleteAlerts(c echo.Context) error {
	return s.changeAlerts(c, s.deps.Store.DeleteAlerts)
}

// changeAlerts changes the alerts that the body names: its ids, or all.
func (s *Server) changeAlerts(c echo.Context, change func(context.Context, carillon.AlertChoice) (int, error)) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	f := readFields("", body)
	choice := carillon.AlertChoice{Owner: f.text("owner", carillon.MaxOwnerBytes), IDs: f.texts("ids", maxAlertIDs, maxParamBytes)}
	if all := f.yes("all"); all == (len(choice.IDs) > 0) {
		f.wrong("ids", `must name the alerts, or be left out with "all": true`)
	}
	if err := f.done(); err != nil {
		return err
	}
	changed, err := change(c.Request().Context(), choice)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, changedView{Changed: changed})
}
