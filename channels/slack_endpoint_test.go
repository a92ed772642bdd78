package channels_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/strict"
)

func TestAnEndpointOfSlackThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	sender := slackSender(t, channels.Config{})
	for posted, want := range map[string]string{
		`{}`:                 "/endpoint/channel: is required, or email, or the url of an incoming webhook",
		`{"token":"xoxb-1"}`: "/endpoint/channel: is required",
		`{"channel":"#a","email":"zoe@example.com"}`:                                      "/endpoint/email: cannot be given together with channel",
		`{"email":"Zoe <zoe@example.com>"}`:                                               "/endpoint/email: must be one address",
		`{"channel":"#a","token":"xapp-1"}`:                                               "/endpoint/token: is none with which Slack takes messages: a bot's begins with xoxb-",
		`{"channel":"#a","icon_emoji":"bell"}`:                                            "/endpoint/icon_emoji: must be the name of an emoji",
		`{"channel":"#a","icon_emoji":":bell:","icon_url":"https://example.com/b.png"}`:   "/endpoint/icon_url: cannot be given together",
		`{"url":"https://hooks.slack.com/services/a","token":"xoxb-1"}`:                   "/endpoint/token: is for bots, and cannot be given together with url",
		`{"url":"https://hooks.slack.com/services/a","base_url":"https://slack.com/api"}`: "/endpoint/base_url: is for bots",
		`{"url":"https://hooks.slack.com/services/a","email":"zoe@example.com"}`:          "/endpoint/email: is for bots",
		`{"url":"https://hooks.slack.com/triggers/a"}`:                                    "/endpoint/url: starts a workflow, which takes no messages",
		`{"url":"https://HOOKS.slack.com/workflows/a"}`:                                   "/endpoint/url: starts a workflow",
		`{"url":"hooks.slack.com/services/a"}`:                                            "/endpoint/url: must be an http:// or https:// URL",
		`{"channel":"#a","base_url":"ftp://slack.com"}`:                                   "/endpoint/base_url: must be an http:// or https:// URL",
	} {
		_, _, err := sender.Prepare(json.RawMessage(posted), nil)
		require.ErrorContains(t, err, want, posted)
	}
	// A token that goes elsewhere is another product's business.
	_, _, err := sender.Prepare(json.RawMessage(`{"channel":"town-square","token":"mm-token","base_url":"https://chat.example.com/api"}`), nil)
	require.NoError(t, err)
}

func TestAChannelOfAWebhookIsWarnedOf(t *testing.T) {
	t.Parallel()
	sender := slackSender(t, channels.Config{})
	warner, ok := sender.(channels.Warner)
	require.True(t, ok)
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"https://hooks.slack.com/services/T/B/x","channel":"#a","username":"C"}`), nil)
	require.NoError(t, err)
	found := warner.Warnings(kept)
	require.Len(t, found, 2)
	require.Equal(t, "/endpoint/channel", found[0].Pointer)
	require.Contains(t, found[0].Detail, "only a webhook of a legacy custom integration goes by it")
	require.Equal(t, "/endpoint/username", found[1].Pointer)

	for _, well := range []string{`{"url":"https://hooks.slack.com/services/T/B/x"}`, `{"channel":"#a","username":"C"}`} {
		kept, _, err := sender.Prepare(json.RawMessage(well), nil)
		require.NoError(t, err)
		require.Empty(t, warner.Warnings(kept))
	}
	require.Equal(t, "hooks.slack.com", sender.Host(carillon.Endpoint(`{"url":"https://Hooks.Slack.com/services/T/B/x"}`)))
	require.Equal(t, "slack.com", sender.Host(carillon.Endpoint(`{"channel":"#a"}`)))
}

func TestATokenIsTheInstallations(t *testing.T) {
	t.Parallel()
	shared := settings{}
	s := newStory(t, map[string]any{"channel": "#releases"}, func(c *channels.Config) { c.Settings = shared })
	var own map[string]any
	require.NoError(t, json.Unmarshal(s.endpoint, &own))
	base := own["base_url"]
	s.endpoint = carillon.Endpoint(`{"channel":"#releases","timeout":"15s"}`)
	completer, ok := s.sender.(channels.Completer)
	require.True(t, ok)

	require.ErrorContains(t, completer.Complete(t.Context(), s.endpoint), "/endpoint/token: is required")
	a := s.attempt(t, coolUtils("1", "package.added"))
	require.Equal(t, carillon.OutcomeRefused, a.Outcome)
	require.Contains(t, a.Error, "there is no token of Slack")

	setting, err := channels.PrepareSetting(s.sender, json.RawMessage(`{"token":"`+slackToken+`","base_url":"`+base.(string)+`"}`), nil)
	require.NoError(t, err)
	require.NotContains(t, string(channels.RedactSetting(s.sender, setting)), slackToken)
	shared["slack"] = string(setting)
	require.NoError(t, completer.Complete(t.Context(), s.endpoint))
	s.deliver(t, coolUtils("1", "package.added"))
	require.Len(t, s.workspace.Messages(), 1)

	// Who names another place gets no token of the installation's for it.
	s.endpoint = carillon.Endpoint(`{"channel":"#releases","base_url":"https://elsewhere.example.com","timeout":"15s"}`)
	require.ErrorContains(t, completer.Complete(t.Context(), s.endpoint), "/endpoint/token: is required")
	require.Equal(t, carillon.OutcomeRefused, s.attempt(t, coolUtils("2", "package.added")).Outcome)
	require.NoError(t, completer.Complete(t.Context(), carillon.Endpoint(`{"url":"https://hooks.slack.com/services/T/B/x"}`)))

	shared["slack"] = ""
	s.endpoint = carillon.Endpoint(`{"channel":"#releases","timeout":"15s"}`)
	a = s.attempt(t, coolUtils("3", "package.added"))
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "the installation's settings cannot be read", a.Error)
	require.Error(t, completer.Complete(t.Context(), s.endpoint))
}

func TestAPersonIsAskedForOnceAnHour(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(slackNoon.Unix())
	s := newStory(t, map[string]any{"email": "zoe@example.com"}, func(c *channels.Config) {
		c.Now = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	asked := func() int {
		n := 0
		for _, call := range s.workspace.Calls() {
			if call.Method == "users.lookupByEmail" {
				n++
				require.Equal(t, "email=zoe%40example.com", string(call.Body))
			}
		}
		return n
	}
	s.deliver(t, buildOf("queued", slackNoon))
	s.deliver(t, buildOf("started", slackNoon.Add(time.Second)))
	there := s.workspace.Messages()
	require.Len(t, there, 1)
	require.Equal(t, "DU0ZOE", there[0].Channel)
	require.Equal(t, 1, there[0].Edits, "by the conversation's id, not by the user's")
	require.Equal(t, 1, asked())
	now.Add(int64(time.Hour / time.Second))
	s.deliver(t, coolUtils("2", "package.added"))
	require.Equal(t, 2, asked())

	delete(s.workspace.Members, "zoe@example.com")
	a := s.attempt(t, coolUtils("3", "package.added"))
	require.Equal(t, carillon.OutcomeGone, a.Outcome, "who is known may have left")
	a = s.attempt(t, coolUtils("3", "package.added"))
	require.Equal(t, carillon.OutcomeGone, a.Outcome)
	require.Equal(t, "users.lookupByEmail: Slack: users_not_found: nobody in the workspace has this email address", a.Error)
	require.Equal(t, 3, asked())

	s.workspace.Script(strict.SlackReply{Status: 429, Header: http.Header{"Retry-After": {"20"}}, Body: `{"ok":false,"error":"ratelimited"}`})
	a = s.attempt(t, coolUtils("4", "package.added"))
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, 20*time.Second, time.Duration(a.RetryAfter))

	s.workspace.Script(strict.SlackReply{Body: `{"ok":true}`})
	a = s.attempt(t, coolUtils("4", "package.added"))
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "users.lookupByEmail: the answer is none of Slack's", a.Error)
}

func TestWhatSlackTellsOfAPersonIsNotRecorded(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"email": "zoe@example.com"})
	a := s.attempt(t, coolUtils("1", "package.added"))
	recorded, err := json.Marshal(a)
	require.NoError(t, err)
	require.NotContains(t, string(recorded), "private@example.com")

	s = newStory(t, map[string]any{"email": "zoe@example.com"})
	hang := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/users.lookupByEmail" {
			s.workspace.ServeHTTP(w, r)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(hang.Close)
	s.endpoint = carillon.Endpoint(`{"email":"zoe@example.com","token":"` + slackToken + `","base_url":"` + hang.URL + `/api","timeout":"15s"}`)
	a = s.attempt(t, coolUtils("1", "package.added"))
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Nil(t, a.Response, "the answer to another question")
}
