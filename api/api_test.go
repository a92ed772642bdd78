package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const key = "admin-key-of-the-tests"

// now is what the tests' clock says.
var now = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

// bundle is a server with everything around it.
type bundle struct {
	*Server
	store     *fakeStore
	publisher *fakePublisher
	history   *fakeHistory
	log       *logBuffer
}

// logBuffer is what the server logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Loaded once: schemas and CEL take a while.
var (
	loadCatalog    = sync.OnceValues(catalog.Load)
	loadConditions = sync.OnceValues(conditions.New)
)

// noInbox takes alerts and forgets them.
type noInbox struct{}

func (noInbox) AddAlert(context.Context, carillon.Alert) error { return nil }

func setup(t testing.TB) *bundle {
	t.Helper()
	types, err := loadCatalog()
	require.NoError(t, err)
	env, err := loadConditions()
	require.NoError(t, err)
	b := &bundle{
		store:     newFakeStore(),
		publisher: &fakePublisher{fingerprints: map[string]string{}},
		history:   &fakeHistory{publications: map[string]*carillon.Publication{}, attempts: map[string][]carillon.Attempt{}},
		log:       &logBuffer{},
	}
	clock := func() time.Time { return now }
	loopback := safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	b.Server, err = New(Deps{
		AdminKey:       key,
		TemporalWebURL: "http://temporal.example:8233/",
		Namespace:      "carillon",
		Store:          b.store,
		Publisher:      b.publisher,
		History:        b.history,
		Catalog:        types,
		Conditions:     env,
		Channels:       channels.NewRegistry(channels.Config{Policy: loopback, Now: clock, PublicURL: "https://bells.example.com", Inbox: noInbox{}}),
		Memory:         &fakeMemory{tags: map[carillon.TagKey]string{}},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = io.WriteString(w, "up 1\n")
		}),
		Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: clock,
	})
	require.NoError(t, err)
	return b
}

// call is a request.
type call struct {
	method string
	path   string
	body   string
	// header overrides what is sent unless said otherwise: the key, and JSON's
	// content type when there is a body. An empty value leaves one out.
	header map[string]string
}

func (c call) request() *http.Request {
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	req := httptest.NewRequest(c.method, c.path, body)
	req.Header.Set("Authorization", "Bearer "+key)
	if c.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.header {
		if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	return req
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends the request and holds the answer against the description.
func (b *bundle) do(t testing.TB, c call) reply {
	t.Helper()
	rec := httptest.NewRecorder()
	req := c.request()
	b.ServeHTTP(rec, req)
	r := reply{status: rec.Code, header: rec.Header(), body: rec.Body.Bytes()}
	described(t, b.Server, req, r)
	return r
}

// ok sends the request, expects the status and returns the body.
func (b *bundle) ok(t testing.TB, status int, c call) []byte {
	t.Helper()
	r := b.do(t, c)
	require.Equal(t, status, r.status, "%s", r.body)
	return r.body
}

// problem sends the request and returns the problem that it is answered with.
func (b *bundle) problem(t testing.TB, status int, c call) problem {
	t.Helper()
	var p problem
	require.NoError(t, json.Unmarshal(b.ok(t, status, c), &p))
	require.Equal(t, status, p.Status)
	return p
}

func decode[T any](t testing.TB, body []byte) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(body, &v))
	return v
}

var ulid = regexp.MustCompile(`(evt|sub|src|req|key|aud)_[0-9A-HJKMNP-TV-Z]{26}\b`)

var secret = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+|key_[0-9A-Z]{26}_[A-Z2-7]{26}|•••• \S{4}`)

var loopback = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// signed is what differs between two requests with other ids and secrets.
var signed = regexp.MustCompile(`("Date": |"payload_sha256": |"Webhook-Signature": )"[^"]+"`)

// golden holds a body against a file of testdata; what is new every time is
// replaced.
func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, body, "", "  "))
	text := ulid.ReplaceAll(pretty.Bytes(), []byte("${1}_ULID"))
	text = secret.ReplaceAll(text, []byte("SECRET"))
	text = loopback.ReplaceAll(text, []byte("RECEIVER"))
	text = signed.ReplaceAll(text, []byte(`${1}"…"`))
	file := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(file, text, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(text))
}

// described fails the test when the description does not have the answer:
// its status, its content type or its body.
func described(t testing.TB, s *Server, req *http.Request, r reply) {
	t.Helper()
	path := routeOf(s, req)
	if path == "" || r.status == http.StatusMethodNotAllowed {
		return // no operation to describe it
	}
	at := []string{"paths", path, strings.ToLower(req.Method), "responses", strconv.Itoa(r.status)}
	operation := resolve(t, at)
	contentType, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	if len(r.body) == 0 {
		require.NotContains(t, operation.value, "content", "%s %s: an answer without a body is not described", req.Method, path)
		return
	}
	media := resolve(t, append(operation.at, "content", contentType, "schema"))
	if !strings.HasSuffix(contentType, "json") {
		return
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.body))
	require.NoError(t, err, "%s", r.body)
	require.NoError(t, schemaAt(t, media.at).Validate(doc), "%s %s %d: %s", req.Method, path, r.status, r.body)
}

// routeOf returns the described path of a request, empty when it has none.
func routeOf(s *Server, req *http.Request) string {
	c := s.echo.NewContext(req, httptest.NewRecorder())
	s.echo.Router().Find(req.Method, req.URL.Path, c)
	for _, r := range s.routes() {
		if r.path == c.Path() && r.method == req.Method {
			return describedPath(r.path)
		}
	}
	return ""
}

var pathParam = regexp.MustCompile(`:([a-z]+)`)

func describedPath(route string) string { return pathParam.ReplaceAllString(route, "{$1}") }

var description = sync.OnceValues(func() (map[string]any, error) {
	text, err := openAPI()
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	return doc, json.Unmarshal(text, &doc)
})

// node is a place in the description.
type node struct {
	at    []string
	value any
}

// resolve follows a path in the description, through references.
func resolve(t testing.TB, path []string) node {
	t.Helper()
	doc, err := description()
	require.NoError(t, err)
	n := node{value: doc}
	for _, step := range path {
		object, ok := n.value.(map[string]any)
		require.True(t, ok, "%v is no object", n.at)
		value, ok := object[step]
		require.True(t, ok, "the description has no %q in %s", step, strings.Join(n.at, " "))
		n = node{at: append(append([]string{}, n.at...), step), value: value}
		if below, ok := value.(map[string]any); ok {
			if ref, ok := below["$ref"].(string); ok && step != "schema" {
				n = resolve(t, strings.Split(strings.TrimPrefix(ref, "#/"), "/"))
			}
		}
	}
	return n
}

var schemas sync.Map // pointer to *jsonschema.Schema

func schemaAt(t testing.TB, path []string) *jsonschema.Schema {
	t.Helper()
	at := pointer(path...)
	if s, ok := schemas.Load(at); ok {
		return s.(*jsonschema.Schema)
	}
	text, err := openAPI()
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("openapi.json", doc))
	s, err := compiler.Compile("openapi.json#" + strings.ReplaceAll(strings.ReplaceAll(at, "{", "%7B"), "}", "%7D"))
	require.NoError(t, err)
	schemas.Store(at, s)
	return s
}
