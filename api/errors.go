package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// Codes of faults that exist in HTTP only.
const (
	codeMethod    carillon.Code = "method-not-allowed"
	codeMediaType carillon.Code = "unsupported-media-type"
)

// statuses maps each code to its one HTTP status.
var statuses = map[carillon.Code]int{
	carillon.CodeInvalid:      http.StatusUnprocessableEntity,
	carillon.CodeNotFound:     http.StatusNotFound,
	carillon.CodeConflict:     http.StatusConflict,
	carillon.CodeInProgress:   http.StatusConflict,
	carillon.CodeEventReused:  http.StatusConflict,
	carillon.CodeExists:       http.StatusConflict,
	carillon.CodeStale:        http.StatusPreconditionFailed,
	carillon.CodeTooLarge:     http.StatusRequestEntityTooLarge,
	carillon.CodeUnauthorized: http.StatusUnauthorized,
	carillon.CodeForbidden:    http.StatusForbidden,
	carillon.CodeRateLimited:  http.StatusTooManyRequests,
	carillon.CodeUnavailable:  http.StatusServiceUnavailable,
	carillon.CodeExpired:      http.StatusGone,
	carillon.CodeInternal:     http.StatusInternalServerError,
	codeMethod:                http.StatusMethodNotAllowed,
	codeMediaType:             http.StatusUnsupportedMediaType,
}

// retryAfter is what a 503 asks clients to wait: a restart of what is away
// takes a few seconds.
const retryAfter = 5 * time.Second

// maxProblems keeps the answer to a body of ten thousand mistakes readable.
const maxProblems = 50

// problem is an error's shape outside (RFC 9457).
type problem struct {
	Type      string             `json:"type"`
	Title     string             `json:"title"`
	Status    int                `json:"status"`
	Detail    string             `json:"detail"`
	Code      carillon.Code      `json:"code"`
	Errors    []carillon.Problem `json:"errors,omitempty"`
	RequestID string             `json:"request_id"`
}

// newProblem makes what a client sees of err: the message of a
// [carillon.Error], and of everything else nothing.
func newProblem(err error) problem {
	code, detail := carillon.CodeInternal, "internal error: the log has more under the request id"
	var problems []carillon.Problem
	if e, ok := errors.AsType[*carillon.Error](err); ok {
		if _, known := statuses[e.Code]; known && e.Code != carillon.CodeInternal {
			code, detail, problems = e.Code, e.Message, e.Problems
		}
	} else if e, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch e.Code {
		case http.StatusNotFound:
			code, detail = carillon.CodeNotFound, "there is no such path; /openapi.json lists them"
		case http.StatusMethodNotAllowed:
			code, detail = codeMethod, "the path does not have this method; the Allow header lists those it has"
		}
	} else if _, ok := errors.AsType[net.Error](err); ok {
		// A connection of the database that is refused, lost or too slow, or a
		// deadline of ours.
		code, detail = carillon.CodeUnavailable, "a part that Carillon needs does not answer; /readyz says which"
	}
	status := statuses[code]
	return problem{
		Type:   "urn:carillon:problem:" + string(code),
		Title:  http.StatusText(status),
		Status: status,
		Detail: detail,
		Code:   code,
		Errors: problems[:min(len(problems), maxProblems)],
	}
}

// problemsOf returns the problems of an error about the input.
func problemsOf(err error) ([]carillon.Problem, bool) {
	e, ok := errors.AsType[*carillon.Error](err)
	if !ok || e.Code != carillon.CodeInvalid {
		return nil, false
	}
	if len(e.Problems) == 0 {
		return []carillon.Problem{{Detail: e.Message}}, true
	}
	return e.Problems, true
}

// handleError is the one place that answers errors.
func (s *Server) handleError(err error, c echo.Context) {
	p := newProblem(err)
	p.RequestID = requestID(c)
	req := c.Request()
	clientLeft := errors.Is(err, context.Canceled) && req.Context().Err() != nil
	if p.Status >= http.StatusInternalServerError && !clientLeft {
		s.deps.Log.LogAttrs(req.Context(), slog.LevelError, "request failed",
			slog.String("method", req.Method), slog.String("route", c.Path()),
			slog.String("request_id", p.RequestID), slog.Any("error", err))
	}
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	switch p.Status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", `Bearer realm="carillon"`)
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	fail := func(c echo.Context, p problem) error { return write(c, p.Status, "application/problem+json", p) }
	if f := faceOf(c); f != nil {
		fail = f.fail
	}
	if err := fail(c, p); err != nil {
		s.deps.Log.LogAttrs(req.Context(), slog.LevelDebug, "answer not written",
			slog.String("request_id", p.RequestID), slog.Any("error", err))
	}
}

// recovered turns a panic of a handler into an error.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal, says net/http
				panic(v)
			}
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}()
		return next(c)
	}
}

// answer writes v as JSON.
func answer(c echo.Context, status int, v any) error {
	return write(c, status, echo.MIMEApplicationJSON, v)
}

func write(c echo.Context, status int, contentType string, v any) error {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, contentType)
	h.Set(echo.HeaderXContentTypeOptions, "nosniff")
	h.Set(echo.HeaderCacheControl, "no-store")
	c.Response().WriteHeader(status)
	enc := json.NewEncoder(c.Response())
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
