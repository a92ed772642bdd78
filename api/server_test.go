package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestRoutesAndDescriptionAreTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var routes, operations []string
	for _, r := range b.routes() {
		routes = append(routes, r.method+" "+describedPath(r.path))
	}
	paths := resolve(t, []string{"paths"})
	for _, path := range sortedKeys(paths.value.(map[string]any)) {
		item := resolve(t, []string{"paths", path}).value.(map[string]any)
		for _, method := range sortedKeys(item) {
			if method != "parameters" {
				operations = append(operations, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(operations)
	require.Equal(t, routes, operations)
}

func TestEveryDescribedSchemaCompiles(t *testing.T) {
	t.Parallel()
	components := resolve(t, []string{"components", "schemas"}).value.(map[string]any)
	for _, name := range sortedKeys(components) {
		schemaAt(t, []string{"components", "schemas", name})
	}
}

func TestTheDescriptionSaysWhichRoutesNeedAKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, r := range b.routes() {
		operation := resolve(t, []string{"paths", describedPath(r.path), strings.ToLower(r.method)}).value.(map[string]any)
		_, open := operation["security"]
		require.Equal(t, r.public || r.admits, open, r.path)
	}
}

func TestEveryRouteButThePublicOnesNeedsAKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, r := range b.routes() {
		resp := b.do(t, call{method: r.method, path: pathParam.ReplaceAllString(r.path, "x"), header: map[string]string{"Authorization": ""}})
		if r.public {
			require.Equal(t, http.StatusOK, resp.status, r.path)
			continue
		}
		require.Equal(t, unauthorized(r.path), resp.status, r.path)
		if resp.status == http.StatusUnauthorized && strings.HasPrefix(r.path, "/v1") && r.path != codecPath {
			require.Equal(t, `Bearer realm="carillon"`, resp.header.Get("WWW-Authenticate"))
		}
	}
}

func TestTheSchemeOfAKeyIsInAnyCase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/sources", header: map[string]string{"Authorization": "bearer " + key}})
}

func TestTheDescriptionIsServed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	doc := decode[map[string]any](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/openapi.json"}))
	require.Equal(t, "3.1.0", doc["openapi"])
}

func TestFaultsOfHTTP(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		call   call
		status int
		code   carillon.Code
	}{
		{"a path that is not there", call{method: http.MethodGet, path: "/v1/nothing"}, 404, carillon.CodeNotFound},
		{"a path that is not there, without a key", call{method: http.MethodGet, path: "/", header: map[string]string{"Authorization": ""}}, 404, carillon.CodeNotFound},
		{"a method that the path does not have", call{method: http.MethodDelete, path: "/v1/events"}, 405, codeMethod},
		{"an id with U+0000", call{method: http.MethodGet, path: "/v1/events/evt_%00"}, 404, carillon.CodeNotFound},
		{"an id with a slash", call{method: http.MethodGet, path: "/v1/subscriptions/a%2Fb"}, 404, carillon.CodeNotFound},
		{"an id of bytes that are no UTF-8", call{method: http.MethodGet, path: "/v1/subscriptions/%ff"}, 404, carillon.CodeNotFound},
		{"an unknown query parameter", call{method: http.MethodGet, path: "/v1/events?limt=5"}, 422, carillon.CodeInvalid},
		{"a parameter where there are none", call{method: http.MethodGet, path: "/v1/sources?limit=5"}, 422, carillon.CodeInvalid},
		{"a limit of nothing", call{method: http.MethodGet, path: "/v1/events?limit=0"}, 422, carillon.CodeInvalid},
		{"a limit of everything", call{method: http.MethodGet, path: "/v1/events?limit=251"}, 422, carillon.CodeInvalid},
		{"a limit that is no number", call{method: http.MethodGet, path: "/v1/deliveries?limit=ten"}, 422, carillon.CodeInvalid},
		{"a cursor of no list", call{method: http.MethodGet, path: "/v1/events?cursor=AAAA"}, 422, carillon.CodeInvalid},
		{"a cursor of another list", call{method: http.MethodGet, path: "/v1/events?cursor=" + cursor(now, "a", "b")}, 422, carillon.CodeInvalid},
		{"a cursor with U+0000", call{method: http.MethodGet, path: "/v1/events?cursor=" + cursor(now, "a\x00")}, 422, carillon.CodeInvalid},
		{"a state that is none", call{method: http.MethodGet, path: "/v1/deliveries?state=pending,done"}, 422, carillon.CodeInvalid},
		{"a scope without a value", call{method: http.MethodGet, path: "/v1/events?scope=feed"}, 422, carillon.CodeInvalid},
		{"a scope key twice", call{method: http.MethodGet, path: "/v1/events?scope=feed:a&scope=feed:b"}, 422, carillon.CodeInvalid},
		{"a time that is none", call{method: http.MethodGet, path: "/v1/events?since=yesterday"}, 422, carillon.CodeInvalid},
		{"a parameter twice", call{method: http.MethodGet, path: "/v1/events?type=a&type=b"}, 422, carillon.CodeInvalid},
		{"a parameter with U+0000", call{method: http.MethodGet, path: "/v1/events?subject=%00"}, 422, carillon.CodeInvalid},
		{"a query that cannot be read", call{method: http.MethodGet, path: "/v1/events?type=%zz"}, 422, carillon.CodeInvalid},
		{"an event type that is not there", call{method: http.MethodGet, path: "/v1/event-types/package.aded"}, 404, carillon.CodeNotFound},
		{"an event that is not there", call{method: http.MethodGet, path: "/v1/events/evt_x"}, 404, carillon.CodeNotFound},
		{"a delivery that is not there", call{method: http.MethodGet, path: "/v1/events/evt_x/deliveries/sub_x"}, 404, carillon.CodeNotFound},
		{"deliveries of a subscription that is not there", call{method: http.MethodGet, path: "/v1/subscriptions/sub_x/deliveries"}, 404, carillon.CodeNotFound},
		{"a test of a subscription that is not there", call{method: http.MethodPost, path: "/v1/subscriptions/sub_x/test"}, 404, carillon.CodeNotFound},
		{"a source that is not there", call{method: http.MethodGet, path: "/v1/sources/x"}, 404, carillon.CodeNotFound},
		{"a notification to a source that is not there", call{method: http.MethodPost, path: "/v1/sources/x/events", body: `{}`}, 404, carillon.CodeNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := b.problem(t, test.status, test.call)
			require.Equal(t, test.code, p.Code)
			require.NotContains(t, b.log.String(), "level=ERROR")
		})
	}
}

func TestA405SaysWhichMethodsThereAre(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp := b.do(t, call{method: http.MethodDelete, path: "/v1/deliveries"})
	require.Contains(t, resp.header.Get("Allow"), http.MethodGet)
}

func TestAPanicIsAnInternalErrorAndTheServiceGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publisher.panic = "secret of the panic"
	p := b.problem(t, http.StatusInternalServerError, call{method: http.MethodPost, path: "/v1/events", body: added()})
	require.Equal(t, carillon.CodeInternal, p.Code)
	require.NotContains(t, p.Detail, "secret")
	require.Contains(t, b.log.String(), "secret of the panic")
	require.Contains(t, b.log.String(), p.RequestID)

	b.publisher.panic = nil
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: added()})
}

func TestAnErrorWithoutACodeStaysInside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.fail = errors.New("sql: table events has no column named x")
	golden(t, "internal_error", b.ok(t, http.StatusInternalServerError, call{method: http.MethodGet, path: "/v1/events"}))
	require.Contains(t, b.log.String(), "no column named x")
}

func TestADatabaseThatDoesNotAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		&net.OpError{Op: "dial", Err: errors.New("connection refused")},
		context.DeadlineExceeded,
	} {
		b := setup(t)
		b.store.fail = err
		resp := b.do(t, call{method: http.MethodGet, path: "/v1/events"})
		require.Equal(t, http.StatusServiceUnavailable, resp.status)
		require.NotEmpty(t, resp.header.Get("Retry-After"))
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var temporal error
	b.deps.Checks = []Check{
		{Name: "database", Check: func(context.Context) error { return nil }},
		{Name: "temporal", Check: func(context.Context) error { return temporal }},
	}
	golden(t, "ready", b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/readyz"}))

	temporal = carillon.Errorf(carillon.CodeUnavailable, "Temporal at temporal.example:7233 does not answer")
	golden(t, "ready_not", b.ok(t, http.StatusServiceUnavailable, call{method: http.MethodGet, path: "/readyz"}))
	b.ok(t, http.StatusServiceUnavailable, call{method: http.MethodGet, path: "/readyz"})
	require.Equal(t, 1, strings.Count(b.log.String(), "readiness changed"), "only changes are logged")

	temporal = errors.New("password of the database")
	require.NotContains(t, string(b.ok(t, http.StatusServiceUnavailable, call{method: http.MethodGet, path: "/readyz"})), "password")

	temporal = nil
	b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/readyz"})
	b.Drain()
	view := decode[readinessView](t, b.ok(t, http.StatusServiceUnavailable, call{method: http.MethodGet, path: "/readyz"}))
	require.Equal(t, "stopping", view.Status)
	b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/livez"})
}

func TestAMissingDependencyIsNamed(t *testing.T) {
	t.Parallel()
	_, err := New(Deps{AdminKey: "k"})
	require.EqualError(t, err, "make API server: Store is missing")
}

func TestOverARealConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := b.HTTP()
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	url := "http://" + listener.Addr().String()

	send := func(body io.Reader, header http.Header) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/events", body)
		require.NoError(t, err)
		req.Header = header
		resp, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	header := http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}}

	// A body without a length that goes on and on is cut off.
	endless := io.LimitReader(neverEnding('x'), 10<<20)
	require.Equal(t, http.StatusRequestEntityTooLarge, send(endless, header))
	// A head beyond 16 KiB, too; net/http allows 4 KiB more.
	huge := header.Clone()
	huge.Set("X-Huge", strings.Repeat("x", 32<<10))
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, send(strings.NewReader(added()), huge))
	require.Equal(t, http.StatusAccepted, send(strings.NewReader(added()), header))
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestAClientThatLeavesIsNoFault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.fail = context.Canceled
	ctx, leave := context.WithCancel(t.Context())
	leave()
	b.ServeHTTP(httptest.NewRecorder(), call{method: http.MethodGet, path: "/v1/events"}.request().WithContext(ctx))
	require.NotContains(t, b.log.String(), "level=ERROR")
}

func TestEveryAnswerHasItsRequestID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp := b.do(t, call{method: http.MethodGet, path: "/v1/nothing"})
	var p problem
	require.NoError(t, json.Unmarshal(resp.body, &p))
	require.Equal(t, resp.header.Get("X-Request-Id"), p.RequestID)
	require.Equal(t, "application/problem+json", resp.header.Get("Content-Type"))
}

func TestTheHTTPServerHasLimits(t *testing.T) {
	t.Parallel()
	server := setup(t).HTTP()
	require.Equal(t, 5*time.Second, server.ReadHeaderTimeout)
	require.Equal(t, 15*time.Second, server.ReadTimeout)
	require.Positive(t, server.WriteTimeout)
	require.Positive(t, server.IdleTimeout)
	require.Equal(t, 16<<10, server.MaxHeaderBytes)
}
