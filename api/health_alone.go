package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// NewHealth makes a server of /livez, /readyz and, unless metrics is nil,
// /metrics, for a process that answers no API.
func NewHealth(checks []Check, metrics http.Handler, log *slog.Logger, now func() time.Time) *Server {
	s := &Server{deps: Deps{Checks: checks, Metrics: metrics, Log: log, Now: now}, stopping: make(chan struct{})}
	s.ready.Store(true)
	s.echo = echo.New()
	s.echo.HideBanner, s.echo.HidePort = true, true
	s.echo.HTTPErrorHandler = s.handleError
	s.echo.Use(s.observed, s.recovered)
	s.echo.GET("/livez", s.live)
	s.echo.GET("/readyz", s.readiness)
	if metrics != nil {
		s.echo.GET("/metrics", echo.WrapHandler(metrics))
	}
	return s
}
