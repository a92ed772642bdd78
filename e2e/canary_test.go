package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

// readAtMost bounds the reading of one answer: some go on for ever.
const readAtMost = 15 * time.Second

// canary sets each secret that Carillon takes to a value of its own, and keeps
// every answer.
type canary struct {
	*instance
	echo    string            // a receiver that answers all that it was told
	secure  *httptest.Server  // the same over TLS
	values  map[string]string // the secrets by where they were set
	answers bytes.Buffer
	ids     map[string][]string // of what was made, by the path it was made at
	// settings are the channels of which something is set for the installation.
	settings []string
	mail     int // the port of a mail server that lets nobody in, and answers all that it was told
}

func newCanary(i *instance) *canary {
	tried := map[string]bool{}
	var mu sync.Mutex
	// The first request to a path fails. Each is answered with what it said: in
	// its line, its headers, its password and its body.
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, password, _ := r.BasicAuth()
		w.Header().Set("X-Echo-Url", r.RequestURI)
		w.Header().Set("X-Echo-Path", r.URL.Path)
		w.Header().Set("X-Echo-Password", password)
		w.Header().Set("Location", r.RequestURI)
		for name, values := range r.Header {
			w.Header().Set("X-Echo-"+name, strings.Join(values, " "))
		}
		mu.Lock()
		if !tried[r.URL.Path] || strings.HasPrefix(r.URL.Path, failing) {
			tried[r.URL.Path] = true
			w.WriteHeader(http.StatusInternalServerError)
		}
		mu.Unlock()
		_, _ = fmt.Fprintf(w, "%s %q %s %v %s", r.RequestURI, r.URL.Query(), password, r.Header, body)
	})
	server, secure := httptest.NewServer(echo), httptest.NewTLSServer(echo)
	i.t.Cleanup(server.Close)
	i.t.Cleanup(secure.Close)
	return &canary{instance: i, echo: server.URL, secure: secure, values: map[string]string{}, ids: map[string][]string{}, mail: echoMail(i.t)}
}

// mark makes a secret. Its look is that of a token: long, with capitals and
// digits.
func (c *canary) mark(where string) string {
	value := fmt.Sprintf("canary%03dXq7Zt9Lm2Vw4Kd8", len(c.values))
	c.values[where] = value
	return value
}

// do makes a request and keeps its answer.
func (c *canary) do(method, path string, body any) (int, map[string]any) {
	c.t.Helper()
	ctx, stop := context.WithTimeout(c.t.Context(), readAtMost)
	defer stop()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		require.NoError(c.t, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url()+path, bytes.NewReader(text))
	require.NoError(c.t, err)
	req.Header.Set("Authorization", "Bearer "+adminKey)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err, "%s %s", method, path)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		require.NoError(c.t, err)
	}
	_, _ = fmt.Fprintf(&c.answers, "%s %s %d %v %s\n", method, req.URL.Path, resp.StatusCode, resp.Header, answer)
	var object map[string]any
	_ = json.Unmarshal(answer, &object) // some answers are no objects
	if id := object["id"]; id != nil && resp.StatusCode == http.StatusCreated {
		c.ids[path] = append(c.ids[path], fmt.Sprint(id))
	}
	return resp.StatusCode, object
}

// address is a URL whose path and query are secrets.
func (c *canary) address(where string) string {
	return c.echo + "/hooks/" + c.mark(where+": path") + "?sig=" + c.mark(where+": query") + "&" + c.mark(where+": bare query")
}

func (c *canary) subscription(where string) map[string]any {
	return map[string]any{
		"name": "canary", "event_types": []string{"package.*"}, "channel": "webhook",
		"endpoint": map[string]any{"url": c.address(where)},
		"retry":    map[string]any{"schedule": []string{"1s"}, "disable": "never"},
	}
}

// source is one with a secret; its name is its id in paths.
func (c *canary) source(where string) map[string]any {
	return map[string]any{
		"name": fmt.Sprintf("registry-%d", len(c.values)), "kind": "cloudevents",
		"authentication": map[string]any{"scheme": "bearer", "secret": c.mark(where + ": base")},
	}
}

func (c *canary) codeScoring(where string) map[string]any {
	return map[string]any{"name": "canary", "url": c.address(where), "events": []string{"sca_policy_has_been_triggered"}}
}

func (c *canary) proGet(where string) map[string]any {
	return map[string]any{"name": "canary", "url": c.address(where), "event": "added"}
}

// made makes an object and returns its id.
func (c *canary) made(path string, body map[string]any) string {
	c.t.Helper()
	status, object := c.do(http.MethodPost, path, body)
	require.Equal(c.t, http.StatusCreated, status, "%s: %v", path, object)
	if name, ok := body["name"].(string); ok && path == "/v1/sources" {
		return name
	}
	return fmt.Sprint(object["id"])
}

// ways say how each operation that takes secrets is used: with which path, and
// which body beside the secret.
func (c *canary) ways() map[string]func(where string) (path string, body map[string]any) {
	subscription := func(suffix string, body func(string) map[string]any) func(string) (string, map[string]any) {
		return func(where string) (string, map[string]any) {
			id := c.made("/v1/subscriptions", c.subscription(where+": before"))
			return "/v1/subscriptions/" + id + suffix, body(where)
		}
	}
	source := func(where string) (string, map[string]any) {
		before := c.source(where + ": before")
		return "/v1/sources/" + c.made("/v1/sources", before), before
	}
	codeScoring := func(where string) (string, map[string]any) {
		before := c.codeScoring(where + ": before")
		return "/api/settings/webhooks/" + c.made("/api/settings/webhooks/", before) + "/", before
	}
	proGet := func(where string) (string, map[string]any) {
		before := c.proGet(where + ": before")
		return "/api/webhooks/edit?id=" + c.made("/api/webhooks/create", before), before
	}
	fresh := func(path string, body func(string) map[string]any) func(string) (string, map[string]any) {
		return func(where string) (string, map[string]any) { return path, body(where) }
	}
	nothing := func(string) map[string]any { return map[string]any{} }
	return map[string]func(string) (string, map[string]any){
		"POST /v1/subscriptions":                    fresh("/v1/subscriptions", c.subscription),
		"POST /v1/subscriptions/test":               fresh("/v1/subscriptions/test", c.subscription),
		"PUT /v1/subscriptions/{id}":                subscription("", c.subscription),
		"PATCH /v1/subscriptions/{id}":              subscription("", nothing),
		"POST /v1/subscriptions/{id}/rotate-secret": subscription("/rotate-secret", nothing),
		"POST /v1/sources":                          fresh("/v1/sources", c.source),
		"PUT /v1/sources/{name}":                    source,
		"PATCH /v1/sources/{name}":                  source,
		"POST /api/settings/webhooks/":              fresh("/api/settings/webhooks/", c.codeScoring),
		"POST /api/settings/webhooks/test/":         fresh("/api/settings/webhooks/test/", c.codeScoring),
		"PUT /api/settings/webhooks/{id}/":          codeScoring,
		"PATCH /api/settings/webhooks/{id}/":        codeScoring,
		"POST /api/webhooks/create":                 fresh("/api/webhooks/create", c.proGet),
		"PUT /api/webhooks/create":                  fresh("/api/webhooks/create", c.proGet),
		"POST /api/webhooks/edit":                   proGet,
		"PUT /api/webhooks/edit":                    proGet,
		"PATCH /api/webhooks/edit":                  proGet,
	}
}

// set uses an operation with a secret, in the first of the shapes that is taken.
func (c *canary) set(operation string, pointer []string, kind string, way func(string) (string, map[string]any)) {
	c.t.Helper()
	where := operation + " /" + strings.Join(pointer, "/")
	method, _, _ := strings.Cut(operation, " ")
	path, body := way(where)
	if slices.Equal(pointer, []string{"endpoint", "token"}) && body["channel"] == "webhook" { // only some formats have a header for it
		body = with(with(body, []string{"format"}, "codescoring"), []string{"event_types"}, []string{"sca.*"})
	}
	value := c.mark(where)
	signing := c.mark(where + ": as a signing secret")
	shapes := []string{value, "whsec_" + base64.StdEncoding.EncodeToString([]byte(signing)), c.echo + failing + value}
	if strings.HasSuffix(where, "/tls/key") {
		certificate, key := selfSigned(c.t, "carillon")
		c.values[where], shapes = strings.Split(key, "\n")[2], []string{key} // its second line: the first of all keys begin alike
		body = with(body, []string{"endpoint"}, map[string]any{
			"url": c.secure.URL + "/hooks/tls", "tls": map[string]any{"certificate": certificate, "ca": encoded("CERTIFICATE", c.secure.Certificate().Raw)},
		})
	}
	for _, text := range shapes {
		var secret any = text
		switch kind {
		case "object":
			secret = map[string]any{"X-Canary": text}
		case "array":
			secret = []any{text}
		}
		status, answer := c.do(method, path, with(body, pointer, secret))
		if status < 300 || status == http.StatusBadRequest && strings.HasSuffix(path, "/test/") {
			return
		}
		require.Contains(c.t, []int{400, 422}, status, "%s: %v", where, answer)
	}
	require.Fail(c.t, "no shape of the secret is taken: say in this test how it is set", where)
}

func TestNoSecretIsSeenAnywhere(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		const planted = "planted3Xq7Zt9Lm2Vw4Kd8"
		i := start(t, env...)
		c := newCanary(i)
		var d description
		_, text := i.get("/openapi.json")
		require.NoError(t, json.Unmarshal([]byte(text), &d))
		fields, ways := d.secretFields(), c.ways()
		require.Greater(t, len(fields), 30)
		for _, field := range fields {
			way, known := ways[field.operation]
			require.True(t, known, "%s takes the secret %v: say in this test how it is used", field.operation, field.pointer)
			c.set(field.operation, field.pointer, field.kind, way)
		}
		channels, err := i.client.Channels(t.Context())
		require.NoError(t, err)
		require.Greater(t, len(channels), 8)
		for _, channel := range channels {
			c.channel(channel)
			c.setting(channel)
		}
		c.mistakes()

		event := added("planted")
		event.Data = map[string]any{"package": planted, "version": "3.2.0"}
		accepted := i.publish(event)
		c.exercise(accepted.ID)
		c.readAll(d, accepted.ID)
		alerts := c.alerts()
		histories := joined(i.histories())
		dump := i.dump()
		i.carillon.stop(t)
		places := map[string]string{
			"a history": histories, "the log": i.logged(), "an answer": c.answers.String(), "an alert": alerts, "a file": i.files(),
			"the database": strings.Join(slices.Concat(slices.Collect(maps.Values(dump))...), "\n"),
		}
		t.Logf("%d secrets in %d fields; %d bytes of answers, %d of histories, %d of files", len(c.values), len(fields),
			len(places["an answer"]), len(histories), len(places["a file"]))
		for _, place := range []string{"a history", "an answer", "an alert", "a file"} {
			require.Contains(t, places[place], planted, "what is looked for would be found in %s", place)
		}
		require.Contains(t, places["the database"], accepted.ID)
		for place, text := range places {
			for where, value := range c.values {
				for _, shape := range append(inBase64(value), value) {
					if strings.Contains(text, shape) { // without all of the text
						require.Failf(t, "a secret is seen", "%s is in %s: %s", where, place, around(text, shape))
					}
				}
			}
		}
	})
}

// around is where something was found.
func around(text, what string) string {
	at := strings.Index(text, what)
	if at < 0 {
		return ""
	}
	return text[max(0, at-200):min(len(text), at+100)]
}

// mistakes posts secrets where they are refused.
func (c *canary) mistakes() {
	c.t.Helper()
	for _, endpoint := range []map[string]any{
		{"url": "https://user:" + c.mark("mistake: user info") + "@h.example.com/"},
		{"url": "https://h.example.com/#" + c.mark("mistake: fragment")},
		{"url": "ftp://h.example.com/" + c.mark("mistake: scheme")},
		// What is wrong in an expression is named; what stands around it is not.
		{"url": "https://h.example.com/" + c.mark("mistake: template") + "/${nothing}?k=" + c.mark("mistake: template's query")},
		{"url": "https://h.example.com/${'" + c.mark("mistake: open template")},
		{"url": "https://h.example.com/", "secret": c.mark("mistake: signing secret")},
		{"url": "https://h.example.com/", "headers": map[string]any{"X-A": c.mark("mistake: header") + "\n"}},
		{"url": "https://h.example.com/", "headers": map[string]any{"X-A": "${" + c.mark("mistake: header template")}},
		{"url": "https://h.example.com/", "bearer_token": c.mark("mistake: bearer"), "basic_auth": map[string]any{"username": "u", "password": c.mark("mistake: password")}},
		{"url": "https://h.example.com/•••?k=" + c.mark("mistake: beside a mask")},
	} {
		body := c.subscription("mistake")
		body["endpoint"] = endpoint
		for _, path := range []string{"/v1/subscriptions", "/v1/subscriptions/test"} {
			status, _ := c.do(http.MethodPost, path, body)
			require.Equal(c.t, http.StatusUnprocessableEntity, status, "%v", endpoint)
		}
	}
}

// exercise uses everything that was saved.
func (c *canary) exercise(event string) {
	c.t.Helper()
	page, err := c.client.Subscriptions(c.t.Context(), 250, "")
	require.NoError(c.t, err)
	require.Greater(c.t, len(page.Items), 20)
	for _, sub := range page.Items {
		at := "/v1/subscriptions/" + sub.ID
		c.do(http.MethodPost, at+"/test", nil)
		if sub.Channel == "webhook" {
			c.do(http.MethodPost, at+"/rotate-secret", map[string]any{})
		}
		_, view := c.do(http.MethodGet, at, nil)
		status, answer := c.do(http.MethodPut, at, view)
		require.Equal(c.t, http.StatusOK, status, "what is answered can be put back: %v", answer)
		c.do(http.MethodPost, at+"/pause", nil)
		c.do(http.MethodPost, at+"/enable", nil)
		c.do(http.MethodPost, at+"/recover", map[string]any{"states": []string{"failed"}, "dry_run": true})
		c.do(http.MethodPost, "/v1/conditions/evaluate", map[string]any{"event_id": event, "subscription": sub.ID})
	}
	ended := []carillon.DeliveryState{carillon.Succeeded, carillon.Failed, carillon.Held, carillon.Canceled}
	for _, sub := range page.Items {
		if !slices.Contains(sub.EventTypes, "package.*") {
			continue
		}
		c.eventually("the delivery to "+sub.ID, func() bool {
			d, err := c.client.Delivery(c.t.Context(), event, sub.ID)
			if client.CodeOf(err) == carillon.CodeNotFound {
				return false
			}
			require.NoError(c.t, err)
			return slices.Contains(ended, d.State)
		})
		c.do(http.MethodPost, "/v1/events/"+event+"/deliveries/"+sub.ID+"/redeliver", map[string]any{"number": 1})
	}
	for _, id := range c.ids["/api/settings/webhooks/"] {
		c.do(http.MethodPost, "/api/settings/webhooks/"+id+"/refresh_availability_status/", nil)
	}
}

// readAll reads every path that is described, of all that was made.
func (c *canary) readAll(d description, event string) {
	c.t.Helper()
	var subs, sources []string
	page, err := c.client.Subscriptions(c.t.Context(), 250, "")
	require.NoError(c.t, err)
	for _, sub := range page.Items {
		subs = append(subs, sub.ID)
	}
	kept, err := c.client.Sources(c.t.Context())
	require.NoError(c.t, err)
	for _, source := range kept {
		sources = append(sources, source.Name)
	}
	values := map[string][]string{
		"{id}":           slices.Concat(subs, []string{event}, c.ids["/api/settings/webhooks/"]),
		"{subscription}": subs, "{name}": slices.Concat(sources, []string{"webhook"}), "{type}": {"package.added"},
		"{channel}": append(slices.Clone(c.settings), "webhook"),
	}
	read := 0
	for path, item := range d.at(d["paths"]) {
		if d.at(item)["get"] == nil {
			continue
		}
		paths := []string{path}
		for parameter, some := range values {
			if !strings.Contains(path, parameter) {
				continue
			}
			var filled []string
			for _, p := range paths {
				for _, value := range some {
					if parameter == "{id}" && strings.HasPrefix(path, "/v1/events/") && value != event {
						continue
					}
					filled = append(filled, strings.ReplaceAll(p, parameter, value))
				}
			}
			paths = filled
		}
		for _, p := range paths {
			if status, _ := c.do(http.MethodGet, p+"?", nil); status == http.StatusOK {
				read++
			}
		}
	}
	require.Greater(c.t, read, len(subs)*3)
	c.do(http.MethodGet, "/v1/events/"+event+"?expand=deliveries", nil)
}
