package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// Limits of a connection. The key and a few headers fit in 16 KiB; the longest
// answer waits for a test's attempt, which takes 30 s at most.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 60 * time.Second
	// requestTimeout ends whatever hangs in time to say so.
	requestTimeout = writeTimeout - 10*time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
)

// Server answers the HTTP API. It is safe for concurrent use.
type Server struct {
	deps Deps
	keys *keyring
	echo *echo.Echo
	// limits are how much each may ask for.
	limits *limits
	// openAPI is the description as it is served.
	openAPI []byte

	draining atomic.Bool
	// streams counts those that are open; stopping is closed when they are to end.
	streams  atomic.Int64
	stopping chan struct{}
	stop     sync.Once
	// ready is the last answer of /readyz, so that the log tells changes only.
	ready atomic.Bool
}

// route is a path of the API and what answers it. Only a public one needs no
// key; one that admits decides itself who may use it.
type route struct {
	method string
	path   string
	handle echo.HandlerFunc
	public bool
	admits bool
	// allow lists the roles that may use it beside admins; none, unless said.
	allow []carillon.Role
}

// New makes a server. It errs when a required dependency is missing.
func New(d Deps) (*Server, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	description, err := openAPI()
	if err != nil {
		return nil, err
	}
	s := &Server{deps: d, keys: newKeyring(d), limits: newLimits(d), openAPI: description, stopping: make(chan struct{})}
	s.deps.AdminKey = "" // the hash is all that is needed
	s.ready.Store(true)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.handleError
	e.Use(s.observed, s.recovered, s.codecOrigin)
	for _, r := range s.routes() {
		if r.public || r.admits {
			e.Add(r.method, r.path, r.handle)
		} else {
			e.Add(r.method, r.path, s.authorized(r.allow, r.handle))
		}
	}
	s.echo = e
	return s, nil
}

func (d Deps) check() error {
	for _, dep := range []struct {
		name    string
		missing bool
	}{
		{"AdminKey", d.AdminKey == ""},
		{"Store", d.Store == nil},
		{"Publisher", d.Publisher == nil},
		{"History", d.History == nil},
		{"Catalog", d.Catalog == nil},
		{"Conditions", d.Conditions == nil},
		{"Channels", d.Channels == nil},
		{"Memory", d.Memory == nil},
		{"Log", d.Log == nil},
		{"Now", d.Now == nil},
	} {
		if dep.missing {
			return fmt.Errorf("make API server: %s is missing", dep.name)
		}
	}
	return nil
}

func (s *Server) routes() []route {
	routes := []route{
		{method: http.MethodGet, path: "/livez", handle: s.live, public: true},
		{method: http.MethodGet, path: "/readyz", handle: s.readiness, public: true},
		{method: http.MethodGet, path: "/openapi.json", handle: s.describe, public: true},

		{method: http.MethodPost, path: "/v1/events", handle: s.publish, allow: publishers},
		{method: http.MethodPost, path: "/v1/events/batch", handle: s.publishEvents, allow: publishers},
		{method: http.MethodGet, path: "/v1/events", handle: s.listEvents, allow: readers},
		{method: http.MethodGet, path: "/v1/events/:id", handle: s.event, allow: readers},
		{method: http.MethodGet, path: "/v1/events/:id/deliveries/:subscription", handle: s.delivery, allow: readers},
		{method: http.MethodPost, path: "/v1/events/:id/deliveries/:subscription/retry-now", handle: s.retryNow, allow: operators},
		{method: http.MethodPost, path: "/v1/events/:id/deliveries/:subscription/cancel", handle: s.cancel, allow: operators},
		{method: http.MethodPost, path: "/v1/events/:id/deliveries/:subscription/redeliver", handle: s.redeliver, allow: operators},
		{method: http.MethodGet, path: "/v1/deliveries", handle: s.listDeliveries, allow: readers},

		{method: http.MethodGet, path: "/v1/event-types", handle: s.listEventTypes, allow: readers},
		{method: http.MethodGet, path: "/v1/event-types/:type", handle: s.eventType, allow: readers},
		{method: http.MethodGet, path: "/v1/channels", handle: s.listChannels, allow: readers},
		{method: http.MethodGet, path: "/v1/formats", handle: s.listFormats, allow: readers},

		{method: http.MethodGet, path: "/v1/subscriptions", handle: s.listSubscriptions, allow: readers},
		{method: http.MethodPost, path: "/v1/subscriptions", handle: s.createSubscription},
		{method: http.MethodPost, path: "/v1/subscriptions/test", handle: s.testUnsaved},
		{method: http.MethodGet, path: "/v1/subscriptions/:id", handle: s.subscription, allow: readers},
		{method: http.MethodPut, path: "/v1/subscriptions/:id", handle: s.replaceSubscription},
		{method: http.MethodPatch, path: "/v1/subscriptions/:id", handle: s.patchSubscription},
		{method: http.MethodDelete, path: "/v1/subscriptions/:id", handle: s.deleteSubscription},
		{method: http.MethodGet, path: "/v1/subscriptions/:id/deliveries", handle: s.subscriptionDeliveries, allow: readers},
		{method: http.MethodPost, path: "/v1/subscriptions/:id/test", handle: s.testSaved, allow: operators},
		{method: http.MethodPost, path: "/v1/subscriptions/:id/enable", handle: s.enableSubscription, allow: operators},
		{method: http.MethodPost, path: "/v1/subscriptions/:id/pause", handle: s.pauseSubscription, allow: operators},
		{method: http.MethodPost, path: "/v1/subscriptions/:id/disable", handle: s.disableSubscription, allow: operators},
		{method: http.MethodPost, path: "/v1/subscriptions/:id/recover", handle: s.recoverSubscription, allow: operators},
		{method: http.MethodGet, path: "/v1/subscriptions/:id/recover", handle: s.recovery, allow: readers},
		{method: http.MethodDelete, path: "/v1/subscriptions/:id/recover", handle: s.cancelRecovery, allow: operators},
		{method: http.MethodPost, path: "/v1/subscriptions/:id/rotate-secret", handle: s.rotateSecret},

		{method: http.MethodPost, path: "/v1/conditions/evaluate", handle: s.evaluate, allow: readers},
		{method: http.MethodPost, path: "/v1/templates/preview", handle: s.previewTemplate, allow: readers},
		{method: http.MethodPost, path: "/v1/templates/import/proget", handle: s.importProGet, allow: readers},
		{method: http.MethodPost, path: "/v1/messages/preview", handle: s.previewMessage, allow: readers},
		{method: http.MethodGet, path: "/v1/profiles", handle: s.listProfiles, allow: readers},

		{method: http.MethodGet, path: "/v1/sources", handle: s.listSources, allow: readers},
		{method: http.MethodPost, path: "/v1/sources", handle: s.createSource},
		{method: http.MethodGet, path: "/v1/sources/:name", handle: s.source, allow: readers},
		{method: http.MethodPut, path: "/v1/sources/:name", handle: s.replaceSource},
		{method: http.MethodPatch, path: "/v1/sources/:name", handle: s.patchSource},
		{method: http.MethodDelete, path: "/v1/sources/:name", handle: s.deleteSource},
		{method: http.MethodPost, path: "/v1/sources/:name/events", handle: s.publishUpstream, admits: true},

		{method: http.MethodGet, path: "/v1/keys", handle: s.listKeys},
		{method: http.MethodPost, path: "/v1/keys", handle: s.createKey},
		{method: http.MethodGet, path: "/v1/keys/:id", handle: s.key},
		{method: http.MethodDelete, path: "/v1/keys/:id", handle: s.revokeKey},
		{method: http.MethodGet, path: "/v1/audit", handle: s.listAudit},

		{method: http.MethodGet, path: "/v1/alerts", handle: s.listAlerts, allow: readers},
		{method: http.MethodGet, path: "/v1/alerts/count", handle: s.countAlerts, allow: readers},
		{method: http.MethodGet, path: streamPath, handle: s.streamAlerts, allow: readers},
		{method: http.MethodPost, path: "/v1/alerts/read", handle: s.readAlerts, allow: operators},
		{method: http.MethodPost, path: "/v1/alerts/delete", handle: s.deleteAlerts, allow: operators},

		{method: http.MethodGet, path: "/v1/settings", handle: s.listSettings},
		{method: http.MethodGet, path: "/v1/settings/:channel", handle: s.setting},
		{method: http.MethodPut, path: "/v1/settings/:channel", handle: s.putSetting},
		{method: http.MethodDelete, path: "/v1/settings/:channel", handle: s.deleteSetting},

		{method: http.MethodGet, path: codecPath, handle: s.codec, admits: true},
		{method: http.MethodPost, path: codecPath + "/decode", handle: s.codecPayloads, admits: true},
		{method: http.MethodPost, path: codecPath + "/encode", handle: s.codecPayloads, admits: true},

		{method: http.MethodGet, path: "/api/settings/webhooks/", handle: s.listCodeScoring, allow: readers},
		{method: http.MethodPost, path: "/api/settings/webhooks/", handle: s.createCodeScoring},
		{method: http.MethodPost, path: "/api/settings/webhooks/test/", handle: s.testCodeScoring},
		{method: http.MethodGet, path: "/api/settings/webhooks/triggers/", handle: s.triggersCodeScoring, allow: readers},
		{method: http.MethodGet, path: "/api/settings/webhooks/:id/", handle: s.getCodeScoring, allow: readers},
		{method: http.MethodPut, path: "/api/settings/webhooks/:id/", handle: s.putCodeScoring},
		{method: http.MethodPatch, path: "/api/settings/webhooks/:id/", handle: s.patchCodeScoring},
		{method: http.MethodDelete, path: "/api/settings/webhooks/:id/", handle: s.deleteCodeScoring},
		{method: http.MethodPost, path: "/api/settings/webhooks/:id/refresh_availability_status/", handle: s.refreshCodeScoring, allow: operators},

		{method: http.MethodGet, path: "/api/webhooks/list", handle: s.listProGet, allow: readers},
		{method: http.MethodPut, path: "/api/webhooks/create", handle: s.createProGet},
		{method: http.MethodPost, path: "/api/webhooks/create", handle: s.createProGet},
		{method: http.MethodPut, path: "/api/webhooks/edit", handle: s.editProGet},
		{method: http.MethodPatch, path: "/api/webhooks/edit", handle: s.editProGet},
		{method: http.MethodPost, path: "/api/webhooks/edit", handle: s.editProGet},
		{method: http.MethodPost, path: "/api/webhooks/delete", handle: s.removeProGet},
		{method: http.MethodDelete, path: "/api/webhooks/delete", handle: s.removeProGet},
	}
	if s.deps.Metrics != nil {
		routes = append(routes, route{
			method: http.MethodGet, path: "/metrics", handle: echo.WrapHandler(s.deps.Metrics), public: true,
		})
	}
	return routes
}

// ServeHTTP answers a request. Where there is GET there is HEAD, too, of which
// net/http sends the headers only.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		r = r.Clone(r.Context())
		r.Method = http.MethodGet
	}
	s.echo.ServeHTTP(w, r)
}

// HTTP returns a server with the limits that keep slow and greedy clients from
// holding the service; the caller listens and shuts it down.
func (s *Server) HTTP() *http.Server {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(func() { s.stop.Do(func() { close(s.stopping) }) })
	return server
}

// requestIDKey is where a request's id is kept.
const requestIDKey = "carillon.request_id"

func requestID(c echo.Context) string {
	id, _ := c.Get(requestIDKey).(string)
	return id
}

// observed gives the request its id and its deadline, and writes one line about
// it.
func (s *Server) observed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := s.deps.Now()
		id := carillon.NewID("req_", start)
		c.Set(requestIDKey, id)
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		if c.Path() != streamPath {
			ctx, stop := context.WithTimeout(c.Request().Context(), requestTimeout)
			defer stop()
			c.SetRequest(c.Request().WithContext(ctx))
		}
		// The error is answered here, so that the line has the status.
		if err := next(c); err != nil {
			c.Error(err)
		}
		// The route, not the path: paths are what clients make up.
		s.deps.Log.LogAttrs(c.Request().Context(), slog.LevelDebug, "request",
			slog.String("method", c.Request().Method), slog.String("route", c.Path()),
			slog.Int("status", c.Response().Status), slog.Duration("took", s.deps.Now().Sub(start)),
			slog.String("request_id", id))
		return nil
	}
}

// runView is a run as it is answered.
type runView struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
	// URL opens the run in Temporal Web; absent when its address is not known.
	URL string `json:"url,omitempty"`
}

func (s *Server) viewRun(run carillon.Run) runView {
	v := runView{WorkflowID: run.WorkflowID, RunID: run.RunID}
	if s.deps.TemporalWebURL != "" && run.RunID != "" {
		v.URL = strings.TrimRight(s.deps.TemporalWebURL, "/") + "/namespaces/" + url.PathEscape(s.deps.Namespace) +
			"/workflows/" + url.PathEscape(run.WorkflowID) + "/" + url.PathEscape(run.RunID) + "/history"
	}
	return v
}
