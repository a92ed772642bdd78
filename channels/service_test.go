package channels_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

const (
	markedSID   = "AC0123456789abcdef0123456789abcdef"
	markedToken = "marked-token-1234"
)

func service(t *testing.T, name string, p safehttp.Policy) channels.Sender {
	t.Helper()
	sender, ok := channels.NewRegistry(channels.Config{Policy: p, Now: time.Now})[name]
	require.True(t, ok)
	require.Equal(t, name, sender.Name())
	return sender
}

// served sets up a service that answers at a path, for endpoints of which
// fields gives all but the timeout.
func served(name, path string, fields func(base string) map[string]any) func(*testing.T, behaviour) (channels.Sender, json.RawMessage) {
	return func(t *testing.T, b behaviour) (channels.Sender, json.RawMessage) {
		t.Helper()
		policy, timeout, start := loopback, "30s", (*httptest.Server).Start
		r := receiver.New()
		var handler http.Handler = r
		switch b {
		case busy:
			r.Script(path, receiver.Reply{Status: 503})
		case busyFor:
			r.Script(path, receiver.Reply{Status: 429, Header: http.Header{"Retry-After": {"7"}}})
		case gone:
			r.Script(path, receiver.Reply{Status: 410, Body: "no more"})
		case hangs:
			timeout = "200ms"
			r.Script(path, receiver.Reply{Hang: t.Context().Done()})
		case untrusted:
			start = (*httptest.Server).StartTLS
		case oversized:
			handler = http.HandlerFunc(endless)
		case nasty:
			r.Script(path, receiver.Reply{Status: 500, Body: strings.Repeat("<\x00\"\xff\\\u2028", 1<<10)})
		case echoes:
			handler = http.HandlerFunc(echo)
		}
		base := server(t, handler, start)
		switch b {
		case forbidden:
			policy = safehttp.Policy{}
			base = strings.Replace(base, "127.0.0.1", "localhost", 1)
		case down:
			dead := httptest.NewServer(r)
			base = dead.URL
			dead.Close()
		}
		posted := fields(base)
		posted["timeout"] = timeout
		text, err := json.Marshal(posted)
		require.NoError(t, err)
		return service(t, name, policy), text
	}
}

func encoded(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func teamsOf(kind string) func(string) map[string]any {
	return func(base string) map[string]any {
		return map[string]any{"url": base + markedPath + "?" + markedQuery, "kind": kind}
	}
}

func twilioOf(base string) map[string]any {
	return map[string]any{
		"account_sid": markedSID, "auth_token": markedToken, "from": "+15005550006", "to": []string{"+14155552671"}, "base_url": base,
	}
}

func xOf(base string) map[string]any {
	return map[string]any{
		"consumer_key": "marked-consumer-key", "consumer_secret": "marked-consumer-secret",
		"access_token": "marked-access-token", "access_secret": "marked-access-secret", "base_url": base,
	}
}

func hipChatOf(base string) map[string]any {
	return map[string]any{"base_url": base, "room": "Builds & more", "token": markedToken}
}

func teamRoomsOf(base string) map[string]any {
	return map[string]any{"base_url": base + "/DefaultCollection", "room_id": 305, "user": "user", "password": "marked-password"}
}

func teamsConforms() map[string]conformance {
	return map[string]conformance{
		"a workflow": {
			setup:   served("teams", markedPath, teamsOf("workflow")),
			secrets: []string{"marked-path", "marked-query"},
		},
		"a connector": {
			setup:   served("teams", markedPath, teamsOf("connector")),
			secrets: []string{"marked-path", "marked-query"},
			want: map[behaviour]expected{
				// A connector says "1" when it took a message, and nothing else.
				oversized: {outcome: carillon.OutcomeRetry, errorHas: "the connector answered 200 but failed"},
				echoes:    {outcome: carillon.OutcomeRetry, errorHas: "the connector answered 200 but failed"},
			},
		},
	}
}

func servicesConform() map[string]conformance {
	return map[string]conformance{
		"twilio": {
			setup:   served("twilio", "/2010-04-01/Accounts/"+markedSID+"/Messages.json", twilioOf),
			secrets: []string{markedToken, encoded(markedSID, markedToken)},
			hidden:  []string{"+14155552671"},
		},
		"x": {
			setup:   served("x", "/2/tweets", xOf),
			secrets: []string{"marked-consumer-key", "marked-consumer-secret", "marked-access-token", "marked-access-secret"},
		},
		"hipchat": {
			setup:   served("hipchat", "/v2/room/Builds & more/notification", hipChatOf),
			secrets: []string{markedToken},
		},
		"teamrooms": {
			setup:   served("teamrooms", "/DefaultCollection/_apis/chat/rooms/305/messages", teamRoomsOf),
			secrets: []string{"marked-password", encoded("user", "marked-password")},
		},
	}
}

// sent makes an attempt of an event, at noon, at a service that answers with the reply,
// and returns what came of it and what arrived.
func sent(t *testing.T, name string, fields func(string) map[string]any, event carillon.Event, reply http.HandlerFunc) (
	a carillon.Attempt, got receiver.Request,
) {
	t.Helper()
	r := receiver.New()
	r.OnRequest(func(request receiver.Request) { got = request })
	base := server(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.ServeHTTP(httptest.NewRecorder(), req) // keeps it
		reply(w, req)
	}), (*httptest.Server).Start)
	sender := channels.NewRegistry(channels.Config{Policy: loopback, Now: func() time.Time { return noon }})[name]
	posted, err := json.Marshal(fields(base))
	require.NoError(t, err)
	kept, _, err := sender.Prepare(posted, nil)
	require.NoError(t, err)
	a = sender.Attempt(t.Context(), channels.Message{Event: event, Endpoint: kept, Number: 1})
	return a, got
}

// answers is a service's reply with a status and a body.
func answers(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func event(kind, data string) carillon.Event {
	return carillon.Event{
		ID: "evt_1", Type: kind, Source: "registry.example.com", Subject: "pkg:npm/left-pad@1.3.0",
		Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), Data: json.RawMessage(data),
	}
}

// throughNode runs a program of e2e/verify on the input; false where there is
// no Node, which make test lists as left out.
func throughNode(t *testing.T, program string, input any) (out string, ok bool) {
	t.Helper()
	node := os.Getenv("CARILLON_TEST_NODE")
	if node == "" && os.Getenv("CARILLON_TEST_REQUIRE") != "all" {
		return "", false
	}
	text, err := json.Marshal(input)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), node, filepath.Join("..", "e2e", "verify", program))
	cmd.Stdin = bytes.NewReader(text)
	answer, err := cmd.CombinedOutput()
	require.NoError(t, err, string(answer))
	return string(answer), true
}

func TestWhatMovesSecretsAsksForThemAgain(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]func(string) map[string]any{
		"twilio": twilioOf, "x": xOf, "hipchat": hipChatOf, "teamrooms": teamRoomsOf,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender := service(t, name, loopback)
			posted, err := json.Marshal(fields("https://one.example.com"))
			require.NoError(t, err)
			kept, _, err := sender.Prepare(posted, nil)
			require.NoError(t, err)
			moved := strings.Replace(string(sender.Redact(kept)), "one.example.com", "two.example.com", 1)
			_, _, err = sender.Prepare(json.RawMessage(moved), kept)
			require.ErrorContains(t, err, "must be given again, because it would go to another place")
		})
	}
}

func TestAServicesAddressIsCheckedWhenItIsSaved(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]func(string) map[string]any{
		"teams": teamsOf("workflow"), "twilio": twilioOf, "x": xOf, "hipchat": hipChatOf, "teamrooms": teamRoomsOf,
	} {
		for base, want := range map[string]string{
			"http://169.254.169.254":  "address not allowed: cloud metadata service",
			"http://[::1]:80":         "address not allowed: loopback",
			"ftp://files.example.com": "must be an http:// or https:// URL",
		} {
			posted, err := json.Marshal(fields(base))
			require.NoError(t, err)
			_, _, err = service(t, name, safehttp.Policy{}).Prepare(posted, nil)
			require.ErrorContains(t, err, want, "%s at %s", name, base)
		}
	}
	_, _, err := service(t, "hipchat", loopback).Prepare(json.RawMessage(`{"base_url":"https://a.example.com?x=1","room":"1","token":"t"}`), nil)
	require.ErrorContains(t, err, "/endpoint/base_url: must not have a query")
}

func TestAMessageThatMayOnlyBeTheOneBeforeIsNotChanged(t *testing.T) {
	t.Parallel()
	r := receiver.New()
	sender := service(t, "hipchat", loopback)
	posted, err := json.Marshal(hipChatOf(server(t, r, (*httptest.Server).Start)))
	require.NoError(t, err)
	kept, _, err := sender.Prepare(posted, nil)
	require.NoError(t, err)
	m := channels.Message{Event: event("ping", `{}`), Endpoint: kept, Number: 1}
	payload, err := sender.(channels.Renderer).Payload(m)
	require.NoError(t, err)
	require.Contains(t, string(payload.Body), `"message"`)
	first := sender.Attempt(t.Context(), m)
	require.Equal(t, carillon.OutcomeDelivered, first.Outcome, first.Error)
	m.PayloadSHA256 = first.Request.PayloadSHA256
	require.Equal(t, carillon.OutcomeDelivered, sender.Attempt(t.Context(), m).Outcome)
	m.PayloadSHA256 = strings.Repeat("0", 64)
	again := sender.Attempt(t.Context(), m)
	require.Equal(t, carillon.OutcomeReject, again.Outcome)
	require.Contains(t, again.Error, "no more what was sent before")
	require.Len(t, r.Requests("/v2/room/Builds & more/notification"), 2)
}
