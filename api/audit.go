package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

type auditStore interface {
	// Audit returns entries, newest first.
	Audit(ctx context.Context, f carillon.AuditFilter) ([]carillon.AuditEntry, error)
	AddAudit(ctx context.Context, entry carillon.AuditEntry) error
}

// auditView is an audit entry as it is answered.
type auditView struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Actor is "admin", the id of a key, or a run's workflow id; ActorName is
	// the key's name.
	Actor     string          `json:"actor"`
	ActorName string          `json:"actor_name,omitempty"`
	Action    string          `json:"action"`
	Object    string          `json:"object"`
	Detail    string          `json:"detail"`
	Before    json.RawMessage `json:"before,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
}

func viewAudit(e carillon.AuditEntry) auditView {
	return auditView{
		ID: e.ID, At: e.At.UTC(), Actor: e.Actor, ActorName: e.ActorName, Action: e.Action, Object: e.Object,
		Detail: e.Detail, Before: e.Before, After: e.After,
	}
}

func (s *Server) listAudit(c echo.Context) error {
	q := readQuery(c)
	limit := q.limit()
	f := carillon.AuditFilter{
		Object: q.text("object"), Actor: q.text("actor"), Action: q.text("action"),
		Since: q.time("since"), Until: q.time("until"), Limit: limit + 1,
	}
	q.cursor(&f.Before.At, &f.Before.ID)
	if err := q.done(); err != nil {
		return err
	}
	entries, err := s.deps.Store.Audit(c.Request().Context(), f)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, newPage(entries, limit, viewAudit, func(last carillon.AuditEntry) string {
		return cursor(last.At, last.ID)
	}))
}
