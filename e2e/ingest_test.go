package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// post sends a body as it is, with the key, and returns the answer.
func (i *instance) post(t *testing.T, method, path, contentType string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, i.url()+path, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+adminKey)
	req.Header.Set("Content-Type", contentType)
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestBadInputIsAClearRefusalAndTheServiceGoesOn(t *testing.T) {
	t.Parallel()
	i := start(t)
	event := func(data string) string {
		return `{"type":"package.added","source":"registry.example.com","data":` + data + `}`
	}
	const subscription = `{"name":"n","event_types":["package.*"],"channel":"webhook","endpoint":{"url":"https://hooks.example.com/"}`
	tests := []struct {
		name, method, path, body string
		status                   int
		pointer                  string
	}{
		{"not JSON", "POST", "/v1/events", "type=package.added", 422, ""},
		{"a list", "POST", "/v1/events", "[]", 422, ""},
		{"wrong type", "POST", "/v1/events", `{"type":7,"source":"s","data":{}}`, 422, "/type"},
		{"nothing required", "POST", "/v1/events", `{}`, 422, "/type"},
		{"unknown field", "POST", "/v1/events", `{"type":"ping","source":"s","data":{},"datum":1}`, 422, "/datum"},
		{"duplicate key", "POST", "/v1/events", event(`{"package":"a","package":"b"}`), 422, "/data/package"},
		{"unknown event type", "POST", "/v1/events", `{"type":"package.adde","source":"s","data":{}}`, 422, "/type"},
		{"data of another shape", "POST", "/v1/events", event(`{"package":7}`), 422, "/data/package"},
		{"depth 10,000", "POST", "/v1/events", event(strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)), 422, "/data"},
		{"10 MB", "POST", "/v1/events", event(`{"package":"` + strings.Repeat("a", 10<<20) + `"}`), 413, ""},
		{"U+0000", "POST", "/v1/events", event(`{"package":"a\u0000b"}`), 422, "/data/package"},
		{"invalid UTF-8", "POST", "/v1/events", event("{\"package\":\"a\xffb\"}"), 422, ""},
		{"a type of Carillon's own", "POST", "/v1/events", `{"type":"subscription.disabled","source":"s","data":{}}`, 422, "/type"},
		{"condition that does not compile", "POST", "/v1/subscriptions", subscription + `,"condition":"pkg.nmae == 'x'"}`, 422, "/condition"},
		{"unknown channel", "POST", "/v1/subscriptions", strings.Replace(subscription, "webhook", "pigeon", 1) + "}", 422, "/channel"},
		{"unknown pattern", "POST", "/v1/subscriptions", strings.Replace(subscription, "package.*", "packages.*", 1) + "}", 422, "/event_types/0"},
		{"unknown subscription", "GET", "/v1/subscriptions/sub_x", "", 404, ""},
		{"unknown event", "GET", "/v1/events/evt_x", "", 404, ""},
		{"unknown source", "POST", "/v1/sources/nobody/events", "{}", 404, ""},
		{"unknown path", "GET", "/v1/nothing", "", 404, ""},
		{"wrong method", "DELETE", "/v1/events", "", 405, ""},
	}
	t.Cleanup(func() { // after all of them
		_, err := i.client.Publish(context.WithoutCancel(t.Context()), added("2"))
		require.NoError(t, err, "the service goes on")
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, text := i.post(t, tt.method, tt.path, "application/json", []byte(tt.body))
			require.Equal(t, tt.status, status, text)
			var problem struct {
				Code   carillon.Code
				Detail string
				Errors []carillon.Problem
			}
			require.NoError(t, json.Unmarshal([]byte(text), &problem), text)
			require.NotEmpty(t, problem.Code)
			require.NotEmpty(t, problem.Detail)
			if tt.pointer != "" {
				require.NotEmpty(t, problem.Errors, text)
				require.True(t, strings.HasPrefix(problem.Errors[0].Pointer, tt.pointer), text)
			}
		})
	}
	t.Run("wrong key", func(t *testing.T) {
		t.Parallel()
		_, err := client.New(i.url(), "another key").Publish(t.Context(), added("1"))
		require.Equal(t, carillon.CodeUnauthorized, client.CodeOf(err))
	})
}

// What real registries sent, in order, and the events that it means.
func TestEveryNotificationOfARegistryBecomesItsEventAndNoOther(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		_, err := i.client.CreateSource(t.Context(), client.Source{
			Name: "registry", Kind: "distribution", Scope: map[string]string{"feed": "containers"},
		})
		require.NoError(t, err)
		i.subscribe("/hook")
		files, err := filepath.Glob("../sources/testdata/distribution/*.json")
		require.NoError(t, err)
		require.Len(t, files, 43)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var sent struct {
				Headers http.Header
				Body    string
			}
			require.NoError(t, json.Unmarshal(text, &sent))
			status, answer := i.post(t, "POST", "/v1/sources/registry/events", sent.Headers.Get("Content-Type"), []byte(sent.Body))
			require.Equal(t, http.StatusAccepted, status, answer)
		}
		want := []string{
			"package.added acme/hello v1", "package.added acme/hello v2", "package.added acme/hello latest",
			"package.added other/mirror v1", "package.added acme/hello s2", "package.added acme/hello multi",
			"package.deleted acme/hello v2", "package.added acme/down v1",
		}
		var got []string
		for _, r := range i.requests("/hook", len(want)) {
			p := read(t, r)
			var data struct{ Package, Version string }
			require.NoError(t, json.Unmarshal(p.Data, &data))
			got = append(got, p.Type+" "+data.Package+" "+data.Version)
		}
		require.ElementsMatch(t, want, got)
		page, err := i.client.Events(t.Context(), client.EventFilter{})
		require.NoError(t, err)
		require.Len(t, page.Items, len(want), "no others")
		require.NoError(t, i.client.DeleteSource(t.Context(), "registry", ""))
		_, err = i.client.Source(t.Context(), "registry")
		require.Equal(t, carillon.CodeNotFound, client.CodeOf(err))
	})
}

func TestStoppingAbandonsNoAttempt(t *testing.T) {
	t.Parallel()
	i := start(t)
	release := make(chan struct{})
	i.hooks.Script("/slow", receiver.Reply{Hang: release})
	sub := i.subscribe("/slow")
	accepted := i.publish(added("1"))
	i.requests("/slow", 1)
	require.NoError(t, i.carillon.cmd.Process.Signal(syscall.SIGTERM))
	i.eventually("it stops to listen", func() bool {
		status, _ := i.get("/livez")
		return status == 0
	})
	close(release)
	<-i.carillon.ended
	require.Zero(t, i.carillon.cmd.ProcessState.ExitCode())
	i.startCarillon()
	i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)
	require.Len(t, i.hooks.Requests("/slow"), 1, "the attempt that was under way counts, and no other is made")
}

func TestDevDeliversAFirstEventAndKeepsItsData(t *testing.T) {
	t.Parallel()
	i := &instance{t: t, dir: t.TempDir(), hooks: receiver.New()}
	free := freePorts(t, 4)
	i.ports = ports{free[0], free[1], free[2]}
	i.client = client.New(i.url(), adminKey)
	dev := func() *process {
		p := run(t, []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir, "CARILLON_ADMIN_KEY=" + adminKey,
			"CARILLON_DATA_DIR=" + filepath.Join(i.dir, "data"), "CARILLON_HTTP_ADDR=127.0.0.1:" + strconv.Itoa(free[0]),
			"CARILLON_DEV_TEMPORAL_PORT=" + strconv.Itoa(free[1]), "CARILLON_DEV_TEMPORAL_WEB_PORT=" + strconv.Itoa(free[2]),
			"CARILLON_DEV_RECEIVER_PORT=" + strconv.Itoa(free[3]),
		}, binary(t, "carillon"), "dev")
		i.eventually("it is up", func() bool { return strings.Contains(p.log.String(), "Carillon is up") })
		return p
	}
	first := dev()
	text := first.log.String()
	require.Contains(t, text, "signature verified")
	require.Contains(t, text, "delivered with HTTP 200")
	require.Contains(t, text, "/workflows/event%2Fevt_")

	taken := run(t, []string{"HOME=" + i.dir, "CARILLON_DATA_DIR=" + filepath.Join(i.dir, "other"), "CARILLON_HTTP_ADDR=127.0.0.1:" + strconv.Itoa(free[0])},
		binary(t, "carillon"), "dev")
	<-taken.ended
	require.Equal(t, 2, taken.cmd.ProcessState.ExitCode())
	require.Contains(t, taken.log.String(), "CARILLON_HTTP_ADDR")

	first.kill() // the embedded server dies with it, and the ports are free again
	begin := time.Now()
	second := dev()
	t.Logf("up again after %s", time.Since(begin).Round(time.Millisecond))
	require.NotContains(t, second.log.String(), "subscribed the built-in receiver")
	page, err := i.client.Events(t.Context(), client.EventFilter{})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	event, err := i.client.Event(t.Context(), page.Items[0].ID)
	require.NoError(t, err)
	require.NotEmpty(t, event.Data, "the history was kept, too")
	second.stop(t)
}
