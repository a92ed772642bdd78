package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/receiver"
)

func TestPublishPostsTheEventAsItIsWritten(t *testing.T) {
	t.Parallel()
	var key, posted string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key, posted = r.Header.Get("Authorization"), string(body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"evt_1","run":{"workflow_id":"event/evt_1","run_id":"r","url":"http://web/r"}}`)
	}))
	defer api.Close()
	file := filepath.Join(t.TempDir(), "event.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"type":"package.added","source":"s","data":{"size":9007199254740993}}`), 0o600))

	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"publish", file}, []string{"CARILLON_PUBLIC_URL=" + api.URL, "CARILLON_ADMIN_KEY=k"}, &out, &errOut)
	require.Zero(t, code, errOut.String())
	require.Equal(t, "accepted evt_1, run event/evt_1\nhttp://web/r\n", out.String())
	require.Equal(t, "Bearer k", key)
	var event struct{ Data json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(posted), &event))
	require.JSONEq(t, `{"size":9007199254740993}`, string(event.Data))
	require.Contains(t, posted, "9007199254740993", "digits are kept")
}

func TestPublishRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":     "is no event in JSON",
		"[]":   "is no event in JSON",
		"{}":   "has no data",
		"{} 1": "has more than one event",
		`{"type":"t","source":"s","data":{},"datum":1}`:        `unknown field "datum"`,
		`{"data":"` + strings.Repeat("a", maxEventFile) + `"}`: "larger than",
	} {
		_, err := readEvent("-", strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}

func TestListenSaysWhatCame(t *testing.T) {
	t.Parallel()
	r := receiver.Request{
		Method: "POST", Path: "/a\x1b[2J", Header: http.Header{"Webhook-Id": {"evt_1"}}, Body: []byte("{\n\"a\": \"\x1b[31m\"}"),
		At: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
	}
	text := describe(r, nil)
	require.Contains(t, text, "2026-11-22T00:00:00Z POST /a\uFFFD[2J evt_1, signature not checked\n  {")
	require.NotContains(t, text, "\x1b", "a sender does not move the terminal's cursor")
	require.Contains(t, describe(r, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), "signature NOT verified: ")
}

func TestHealthAsksThisMachine(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	process := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	defer process.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(process.URL, "http://"), ":")
	health := func(addr string) (out, errOut bytes.Buffer, code int) {
		code = run(t.Context(), []string{"health"}, []string{"CARILLON_HTTP_ADDR=" + addr}, &out, &errOut)
		return out, errOut, code
	}
	for _, addr := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port} {
		out, errOut, code := health(addr)
		require.Zero(t, code, errOut.String())
		require.Equal(t, "/readyz\n", out.String())
	}
	status = http.StatusServiceUnavailable
	_, errOut, code := health("127.0.0.1:" + port)
	require.Equal(t, exitFailure, code)
	require.Contains(t, errOut.String(), "not ready")
	_, _, code = health("127.0.0.1:1")
	require.Equal(t, exitFailure, code)
}
