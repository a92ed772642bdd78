package channels_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/internal/strict"
)

const (
	slackToken   = "xoxb-marked-token-123456"
	slackWebhook = "/services/T0MARKED/B0MARKED/markedwebhooksecret"
)

// memory is [channels.Threads] of one test.
type memory struct {
	mu      sync.Mutex
	threads map[string]json.RawMessage
	err     error
}

func (m *memory) FindThread(_ context.Context, subscription, topic string) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.threads[subscription+" "+topic], m.err
}

func (m *memory) KeepThread(_ context.Context, subscription, topic string, thread json.RawMessage, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		if m.threads == nil {
			m.threads = map[string]json.RawMessage{}
		}
		m.threads[subscription+" "+topic] = thread
	}
	return m.err
}

// settings are what is set for the installation, by channels.
type settings map[string]string

func (s settings) Setting(_ context.Context, channel string) (carillon.Endpoint, error) {
	kept, ok := s[channel]
	if !ok {
		return nil, nil
	}
	if kept == "" {
		return nil, errors.New("away")
	}
	return carillon.Endpoint(kept), nil
}

func newWorkspace() *strict.Slack {
	return &strict.Slack{
		Token: slackToken, Webhook: slackWebhook, Channels: map[string]string{"#releases": "C0RELEASES", "#builds": "C0BUILDS"},
		Members: map[string]string{"zoe@example.com": "U0ZOE"},
	}
}

func slackSender(t *testing.T, c channels.Config) channels.Sender {
	t.Helper()
	if c.Now == nil {
		c.Now = time.Now
	}
	sender, ok := channels.NewRegistry(c)["slack"]
	require.True(t, ok)
	return sender
}

func slackConforms() map[string]conformance {
	all := map[string]conformance{}
	for _, way := range []struct {
		name, path string
		endpoint   func(address string) map[string]any
		want       map[behaviour]expected
		secrets    []string
	}{
		{
			name: "as a bot", path: "/api/chat.postMessage",
			endpoint: func(address string) map[string]any {
				return map[string]any{"token": slackToken, "base_url": address + "/api", "channel": "#releases"}
			},
			// A status of success says nothing: Slack's body does.
			want: map[behaviour]expected{
				oversized: {outcome: carillon.OutcomeRetry, errorHas: "the answer is none of Slack's"},
				echoes:    {outcome: carillon.OutcomeRetry, errorHas: "the answer is none of Slack's"},
			},
			secrets: []string{slackToken},
		}, {
			name: "by a webhook", path: slackWebhook,
			endpoint: func(address string) map[string]any { return map[string]any{"url": address + slackWebhook} },
			secrets:  []string{slackWebhook, "markedwebhooksecret", "B0MARKED"},
		},
	} {
		all[way.name] = conformance{want: way.want, secrets: way.secrets, setup: func(t *testing.T, b behaviour) (channels.Sender, json.RawMessage) {
			t.Helper()
			policy, address := slackSide(t, b, way.path)
			endpoint := way.endpoint(address)
			endpoint["timeout"] = "30s"
			if b == hangs {
				endpoint["timeout"] = "200ms"
			}
			posted, err := json.Marshal(endpoint)
			require.NoError(t, err)
			return slackSender(t, channels.Config{Policy: policy, Threads: &memory{}}), posted
		}}
	}
	return all
}

// slackSide starts what behaves so, and returns its address.
func slackSide(t *testing.T, b behaviour, path string) (policy safehttp.Policy, address string) {
	t.Helper()
	policy = loopback
	r := receiver.New()
	start := (*httptest.Server).Start
	var handler http.Handler = r
	switch b {
	case accepts:
		handler = newWorkspace()
	case busy:
		r.Script(path, receiver.Reply{Status: 503})
	case busyFor:
		r.Script(path, receiver.Reply{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: `{"ok":false,"error":"ratelimited"}`})
	case gone:
		r.Script(path, receiver.Reply{Status: 410, Body: "channel_is_archived"})
	case hangs:
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
	address = server(t, handler, start)
	switch b {
	case forbidden:
		policy, address = safehttp.Policy{}, strings.Replace(address, "127.0.0.1", "localhost", 1)
	case down:
		dead := httptest.NewServer(r)
		address = dead.URL
		dead.Close()
	}
	return policy, address
}

// story is a workspace, a sender and an endpoint that leads there.
type story struct {
	workspace *strict.Slack
	memory    *memory
	sender    channels.Sender
	endpoint  carillon.Endpoint
	number    int
}

func newStory(t *testing.T, endpoint map[string]any, change ...func(*channels.Config)) *story {
	t.Helper()
	s := &story{workspace: newWorkspace(), memory: &memory{}}
	config := channels.Config{Policy: loopback, Threads: s.memory}
	for _, edit := range change {
		edit(&config)
	}
	s.sender = slackSender(t, config)
	address := server(t, s.workspace, (*httptest.Server).Start)
	if _, hook := endpoint["url"]; hook {
		endpoint["url"] = address + slackWebhook
	} else {
		endpoint["base_url"] = address + "/api"
		endpoint["token"] = slackToken
	}
	posted, err := json.Marshal(endpoint)
	require.NoError(t, err)
	s.endpoint, _, err = s.sender.Prepare(posted, nil)
	require.NoError(t, err)
	return s
}

func (s *story) attempt(t *testing.T, e carillon.Event, edits ...func(*channels.Message)) carillon.Attempt {
	t.Helper()
	s.number++
	m := channels.Message{Event: e, Endpoint: s.endpoint, Number: s.number, Subscription: "sub_1"}
	for _, edit := range edits {
		edit(&m)
	}
	return s.sender.Attempt(t.Context(), m)
}

func (s *story) deliver(t *testing.T, e carillon.Event) {
	t.Helper()
	a := s.attempt(t, e)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Empty(t, a.Error)
	require.Nil(t, a.Progress)
}

var slackNoon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func happened(id, eventType, subject string, at time.Time, data string) carillon.Event {
	return carillon.Event{
		ID: "evt_" + id, Type: eventType, Source: "registry.example.com", Actor: "maartenba", Subject: subject, Time: at,
		Scope: map[string]string{"feed": "internal-utils"}, Data: json.RawMessage(data),
	}
}

func coolUtils(id, eventType string) carillon.Event {
	return happened(id, eventType, "pkg:nuget/MyCorp.CoolUtils@3.2.0", slackNoon, `{"package":"MyCorp.CoolUtils","version":"3.2.0"}`)
}

func buildOf(step string, at time.Time) carillon.Event {
	return happened(step, "build."+step, "SampleBuild/7", at, `{"name":"SampleBuild","branch":"main"}`)
}

func TestWhatFollowsIsInTheThreadOfItsPackage(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#releases", "username": "Registry", "icon_emoji": ":bell:"})
	s.deliver(t, coolUtils("1", "package.added"))
	s.deliver(t, coolUtils("2", "package.promoted"))
	s.deliver(t, happened("3", "package.added", "pkg:nuget/Other@1.0.0", slackNoon, `{"package":"Other","version":"1.0.0"}`))
	there := s.workspace.Messages()
	require.Len(t, there, 3)
	require.Equal(t, "C0RELEASES", there[0].Channel)
	require.Equal(t, "Registry", there[0].Username)
	require.Empty(t, there[0].ThreadTS)
	require.Equal(t, there[0].TS, there[1].ThreadTS)
	require.Empty(t, there[2].ThreadTS, "another package")

	// Another channel is another place.
	var endpoint map[string]any
	require.NoError(t, json.Unmarshal(s.endpoint, &endpoint))
	endpoint["channel"] = "#builds"
	moved, err := json.Marshal(endpoint)
	require.NoError(t, err)
	s.endpoint = moved
	s.deliver(t, coolUtils("4", "package.deleted"))
	there = s.workspace.Messages()
	require.Equal(t, "C0BUILDS", there[3].Channel)
	require.Empty(t, there[3].ThreadTS)
}

func TestABuildIsOneMessageThatIsKeptCurrent(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#builds"})
	s.deliver(t, buildOf("queued", slackNoon))
	s.deliver(t, buildOf("started", slackNoon)) // in the same second
	s.deliver(t, buildOf("finished", slackNoon.Add(time.Minute)))
	there := s.workspace.Messages()
	require.Len(t, there, 1)
	require.Equal(t, 2, there[0].Edits)
	require.Contains(t, string(there[0].Body), "build.finished")

	// What comes late takes nothing back: it is told in the thread.
	late := buildOf("started", slackNoon.Add(time.Second))
	late.ID = "evt_late"
	s.deliver(t, late)
	there = s.workspace.Messages()
	require.Len(t, there, 2)
	require.Equal(t, 2, there[0].Edits)
	require.Equal(t, there[0].TS, there[1].ThreadTS)
}

func TestWhatCannotBeFollowedBeginsAnew(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#builds"})
	s.deliver(t, buildOf("queued", slackNoon))
	s.workspace.Delete(s.workspace.Messages()[0].TS)
	s.deliver(t, buildOf("started", slackNoon.Add(time.Second)))
	there := s.workspace.Messages()
	require.Len(t, there, 1)
	require.Empty(t, there[0].ThreadTS)
	require.Contains(t, string(there[0].Body), "build.started")

	s.workspace.Script(strict.SlackReply{Body: `{"ok":false,"error":"edit_window_closed"}`})
	s.deliver(t, buildOf("finished", slackNoon.Add(time.Minute)))
	there = s.workspace.Messages()
	require.Len(t, there, 2)
	require.Zero(t, there[0].Edits)
	require.Equal(t, there[0].TS, there[1].ThreadTS, "what cannot be edited can be replied to")
}

func TestMessagesOfOneTopicAtOnceAreOneThread(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#releases"})
	var group sync.WaitGroup
	outcomes := make([]carillon.Outcome, 8)
	for i := range outcomes {
		group.Go(func() {
			outcomes[i] = s.sender.Attempt(t.Context(), channels.Message{
				Event: coolUtils(strconv.Itoa(i), "package.added"), Endpoint: s.endpoint, Number: 1, Subscription: "sub_1",
			}).Outcome
		})
	}
	group.Wait()
	there := s.workspace.Messages()
	require.Len(t, there, len(outcomes))
	for i, m := range there {
		require.Equal(t, carillon.OutcomeDelivered, outcomes[i])
		if i > 0 {
			require.Equal(t, there[0].TS, m.ThreadTS)
		}
	}
}

func TestAPostWhoseAnswerWasLostIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#releases"})
	s.workspace.Script(strict.SlackReply{Status: 504, After: true})
	event := coolUtils("1", "package.added")
	require.Equal(t, carillon.OutcomeRetry, s.attempt(t, event).Outcome)
	s.deliver(t, event)
	require.Len(t, s.workspace.Messages(), 1)
	s.deliver(t, coolUtils("2", "package.promoted"))
	require.Equal(t, s.workspace.Messages()[0].TS, s.workspace.Messages()[1].ThreadTS, "its thread is known")
	require.Len(t, s.workspace.Messages(), 2)

	// The same event for another subscription is another message.
	a := s.attempt(t, event, func(m *channels.Message) { m.Subscription = "sub_2" })
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Len(t, s.workspace.Messages(), 3)
}

func TestAPostThatSlackLostIsMadeAnewAtTheNextAttempt(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#releases"}, func(c *channels.Config) { c.Threads = nil })
	event := coolUtils("1", "package.added")
	s.deliver(t, event)
	s.workspace.Delete(s.workspace.Messages()[0].TS)
	a := s.attempt(t, event)
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Contains(t, a.Error, "duplicate_message_not_found")
	progress := func(m *channels.Message) { m.Progress = a.Progress }
	s.workspace.Script(strict.SlackReply{Status: 503})
	a = s.attempt(t, event, progress)
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	a = s.attempt(t, event, progress)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Len(t, s.workspace.Messages(), 1)
}

func TestADatabaseThatIsAwayCostsTheThreadAndNotTheMessage(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#releases"})
	s.memory.err = errors.New("away")
	s.deliver(t, coolUtils("1", "package.added"))
	s.deliver(t, coolUtils("2", "package.promoted"))
	require.Len(t, s.workspace.Messages(), 2)
}

func TestSlacksErrorsAreWhatTheyMean(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reply      strict.SlackReply
		outcome    carillon.Outcome
		says       string
		retryAfter time.Duration
	}{
		{reply: strict.SlackReply{Body: `{"ok":false,"error":"channel_not_found"}`}, outcome: carillon.OutcomeGone, says: "Slack: channel_not_found: there is no such channel"},
		{reply: strict.SlackReply{Body: `{"ok":false,"error":"not_in_channel"}`}, outcome: carillon.OutcomeRefused, says: "/invite"},
		{
			reply:   strict.SlackReply{Body: `{"ok":false,"error":"missing_scope","needed":"chat:write.customize","provided":"chat:write"}`},
			outcome: carillon.OutcomeRefused, says: "Slack: missing_scope: the app lacks a scope: add it and install the app again (chat:write.customize)",
		},
		{reply: strict.SlackReply{Body: `{"ok":false,"error":"invalid_blocks"}`}, outcome: carillon.OutcomeReject, says: "Slack: invalid_blocks"},
		{reply: strict.SlackReply{Body: `{"ok":false,"error":"fatal_error"}`}, outcome: carillon.OutcomeRetry, says: "Slack: fatal_error"},
		{reply: strict.SlackReply{Body: `{"ok":false,"error":"what_nobody_knows"}`}, outcome: carillon.OutcomeRetry, says: "Slack: what_nobody_knows"},
		{reply: strict.SlackReply{Body: `{"ok":false,"error":"<b>` + slackToken + `</b>"}`}, outcome: carillon.OutcomeRetry, says: "Slack: an error without a name"},
		{
			reply:   strict.SlackReply{Header: http.Header{"Retry-After": {"30"}}, Body: `{"ok":false,"error":"ratelimited"}`},
			outcome: carillon.OutcomeRetry, says: "Slack: ratelimited", retryAfter: 30 * time.Second,
		},
		{
			reply:   strict.SlackReply{Status: 429, Header: http.Header{"Retry-After": {"9"}}, Body: `{"ok":false,"error":"ratelimited"}`},
			outcome: carillon.OutcomeRetry, says: "HTTP 429 Too Many Requests, Slack: ratelimited", retryAfter: 9 * time.Second,
		},
		{reply: strict.SlackReply{Body: `<html>a proxy's page</html>`}, outcome: carillon.OutcomeRetry, says: "the answer is none of Slack's"},
		{reply: strict.SlackReply{Body: `{"ok":"yes"}`}, outcome: carillon.OutcomeRetry, says: "the answer is none of Slack's"},
		{reply: strict.SlackReply{Body: `{"ok":true,"ts":"` + slackToken + `"}`}, outcome: carillon.OutcomeRetry, says: "the answer is none of Slack's"},
	} {
		t.Run(test.reply.Body, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, map[string]any{"channel": "#releases"})
			s.workspace.Script(test.reply)
			a := s.attempt(t, coolUtils("1", "package.added"))
			require.Equal(t, test.outcome, a.Outcome)
			require.Contains(t, a.Error, test.says)
			require.NotContains(t, a.Error, slackToken)
			require.Equal(t, test.retryAfter, time.Duration(a.RetryAfter))
			require.Empty(t, s.memory.threads)
		})
	}
	t.Run("a wrong token", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, map[string]any{"channel": "#releases"})
		s.workspace.Token = "xoxb-another"
		a := s.attempt(t, coolUtils("1", "package.added"))
		require.Equal(t, carillon.OutcomeRefused, a.Outcome)
		require.Contains(t, a.Error, "Slack: invalid_auth: the token is not valid")
	})
}

func TestAnAnswerIsReadThoughItIsLongerThanWhatIsRead(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#releases"})
	s.workspace.Script(strict.SlackReply{
		Body: `{"ok":true,"channel":"C0RELEASES","ts":"1700000000.000099","message":{"text":"` + strings.Repeat("x", 1<<20) + `"}}`,
	})
	s.deliver(t, coolUtils("1", "package.added"))
	require.Len(t, s.memory.threads, 1)
	for _, thread := range s.memory.threads {
		require.Contains(t, string(thread), "1700000000.000099")
	}
}

func TestAWebhookSaysWhyItTakesNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reply   strict.SlackReply
		outcome carillon.Outcome
		says    string
	}{
		{strict.SlackReply{Status: 404, Body: "no_service"}, carillon.OutcomeGone, "HTTP 404 Not Found, Slack: no_service: the webhook was removed"},
		{strict.SlackReply{Status: 410, Body: "channel_is_archived"}, carillon.OutcomeGone, "HTTP 410 Gone, Slack: channel_is_archived"},
		{strict.SlackReply{Status: 403, Body: "action_prohibited"}, carillon.OutcomeRefused, "HTTP 403 Forbidden, Slack: action_prohibited"},
		{strict.SlackReply{Status: 400, Body: "invalid_payload"}, carillon.OutcomeReject, "HTTP 400 Bad Request, Slack: invalid_payload"},
		{strict.SlackReply{Status: 500, Body: "rollup_error"}, carillon.OutcomeRetry, "HTTP 500 Internal Server Error, Slack: rollup_error"},
		{strict.SlackReply{Status: 404, Body: "<h1>Not Found</h1>"}, carillon.OutcomeRetry, "HTTP 404 Not Found"},
	} {
		t.Run(test.reply.Body, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, map[string]any{"url": ""})
			s.workspace.Script(test.reply)
			a := s.attempt(t, coolUtils("1", "package.added"))
			require.Equal(t, test.outcome, a.Outcome)
			require.Contains(t, a.Error, test.says)
			require.NotContains(t, a.Error, "<h1>")
			require.NotContains(t, a.Error, "services")
		})
	}
}

func TestAWebhookPostsByItself(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"url": "", "channel": "#other"})
	s.deliver(t, buildOf("queued", slackNoon))
	s.deliver(t, buildOf("started", slackNoon.Add(time.Second)))
	there := s.workspace.Messages()
	require.Len(t, there, 2)
	require.Contains(t, string(there[0].Body), `"channel":"#other"`)
	require.NotContains(t, string(there[0].Body), "client_msg_id")
	require.Empty(t, s.memory.threads)
}
