package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/carillon-dev/carillon"
)

// checkTimeout is for one check of /readyz; whoever asks waits a few seconds.
const checkTimeout = 2 * time.Second

//go:embed openapi.yaml
var openAPIText []byte

// openAPI turns the description into JSON.
func openAPI() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(openAPIText, &doc); err != nil {
		return nil, fmt.Errorf("read OpenAPI description: %w", err)
	}
	describeForbidden(doc)
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write OpenAPI description: %w", err)
	}
	return text, nil
}

// describeForbidden adds to every operation that asks for a key what a key
// without the role is answered, and one that asks too often. It is the same
// everywhere but in other products' APIs, so that operations need not say it.
func describeForbidden(doc map[string]any) {
	paths, _ := doc["paths"].(map[string]any)
	for path, item := range paths {
		operations, _ := item.(map[string]any)
		for _, operation := range operations {
			object, _ := operation.(map[string]any)
			responses, _ := object["responses"].(map[string]any)
			_, asks := responses["401"]
			switch forbidden, own := responses["403"]; {
			case own && !strings.HasPrefix(path, "/v1/"): // another product's, which says every error alike
				responses["429"] = forbidden
			case asks:
				responses["403"] = map[string]any{"$ref": "#/components/responses/Forbidden"}
				responses["429"] = map[string]any{"$ref": "#/components/responses/RateLimited"}
			}
		}
	}
}

func (s *Server) describe(c echo.Context) error {
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, s.openAPI)
}

// live says that the process answers.
func (s *Server) live(c echo.Context) error {
	return answer(c, http.StatusOK, map[string]string{"status": "ok"})
}

// Drain makes /readyz say no from now on, so that whoever balances the load
// sends no more requests; those that come are answered as before.
func (s *Server) Drain() { s.draining.Store(true) }

type readinessView struct {
	Status string               `json:"status"`
	Checks map[string]checkView `json:"checks"`
}

type checkView struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// readiness says whether Carillon can take events now, and why not.
func (s *Server) readiness(c echo.Context) error {
	ctx, stop := context.WithTimeout(c.Request().Context(), checkTimeout)
	defer stop()
	errs := make([]error, len(s.deps.Checks))
	var all sync.WaitGroup
	for i, check := range s.deps.Checks {
		all.Go(func() { errs[i] = check.Check(ctx) })
	}
	all.Wait()

	view := readinessView{Status: "ready", Checks: map[string]checkView{}}
	for i, check := range s.deps.Checks {
		view.Checks[check.Name] = viewCheck(errs[i])
		if errs[i] != nil {
			view.Status = "unavailable"
		}
	}
	if s.draining.Load() {
		view.Status = "stopping"
	}
	ready := view.Status == "ready"
	if s.ready.Swap(ready) != ready {
		s.deps.Log.LogAttrs(ctx, slog.LevelWarn, "readiness changed",
			slog.String("status", view.Status), slog.Any("error", errors.Join(errs...)))
	}
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	return answer(c, status, view)
}

func viewCheck(err error) checkView {
	if err == nil {
		return checkView{OK: true}
	}
	if e, ok := errors.AsType[*carillon.Error](err); ok {
		return checkView{Detail: e.Message}
	}
	return checkView{Detail: "the check failed; the log has more"}
}
