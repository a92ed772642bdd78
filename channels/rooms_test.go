package channels_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

func hipChatNote(t *testing.T, body []byte) (note struct {
	Message, Color string
	MessageFormat  string `json:"message_format"`
	Notify         bool
}) {
	t.Helper()
	require.NoError(t, json.Unmarshal(body, &note))
	return note
}

func TestARoomIsNotified(t *testing.T) {
	t.Parallel()
	e := event("package.added", `{"package":"<left> & pad"}`)
	e.Scope = map[string]string{"feed": "a<b"}
	fields := func(base string) map[string]any {
		posted := hipChatOf(base)
		posted["message"] = map[string]string{"title": "${data.package}", "text": "one\ntwo"}
		posted["notify"], posted["color"] = true, "random"
		return posted
	}
	a, got := sent(t, "hipchat", fields, e, answers(http.StatusNoContent, ""))
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Equal(t, "/v2/room/Builds & more/notification", got.Path)
	require.Equal(t, "Bearer "+markedToken, got.Header.Get("Authorization"))
	note := hipChatNote(t, got.Body)
	require.Equal(t, "html", note.MessageFormat)
	require.Contains(t, note.Message, "<b>&lt;left&gt; &amp; pad</b><br>one<br>two<br>")
	require.Contains(t, note.Message, "a&lt;b")
	require.Equal(t, "random", note.Color)
	require.True(t, note.Notify)

	a, _ = sent(t, "hipchat", fields, e, answers(http.StatusUnauthorized, `{"error":{"code":401,"type":"Unauthorized","message":"Auth token invalid."}}`))
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "HTTP 401 Unauthorized: Auth token invalid.", a.Error)
}

func TestBuildsHaveTheColourOfTheirResult(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ event, data, options, want string }{
		{"build.queued", `{}`, `,"color_builds":true`, "gray"},
		{"build.started", `{}`, `,"color_builds":true`, "gray"},
		{"build.finished", `{"result":"success"}`, `,"color_builds":true`, "green"},
		{"build.finished", `{"result":"failed"}`, `,"color_builds":true,"color":"purple"`, "red"},
		{"build.finished", `{"result":"failed"}`, `,"color":"purple"`, "purple"},
		{"package.added", `{"result":"failed"}`, `,"color_builds":true,"color":"purple"`, "purple"},
		{"package.added", `{}`, ``, "yellow"},
	} {
		body := payload(t, "hipchat", `{"base_url":"https://a.example.com","room":"1","token":"t"`+test.options+`}`, event(test.event, test.data))
		require.Equal(t, test.want, hipChatNote(t, body).Color, test)
	}
	e := event("build.finished", `{"result":"failed"}`)
	body := payload(t, "hipchat", `{"base_url":"https://a.example.com","room":"1","token":"t","color_builds":true}`, e, e)
	require.Equal(t, "yellow", hipChatNote(t, body).Color, "many builds have no one result")
}

func TestRoomsTakeMessagesOfTheirLength(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(12, 13))
	for range 5 {
		e := huge(r)
		for _, format := range []string{"html", "text"} {
			note := hipChatNote(t, payload(t, "hipchat", `{"base_url":"https://a.example.com","room":"1","token":"t","message_format":"`+format+
				`","message":{"title":"${data.title}","text":"${data.text}"}}`, e))
			require.LessOrEqual(t, utf8.RuneCountInString(note.Message), 10_000)
			require.NotEmpty(t, note.Message)
		}
		var content struct{ Content string }
		require.NoError(t, json.Unmarshal(payload(t, "teamrooms",
			`{"base_url":"https://a.example.com","room_id":1,"token":"t","message":{"text":"${data.text}"}}`, e), &content))
		require.LessOrEqual(t, utf8.RuneCountInString(content.Content), 4000)
		require.NotEmpty(t, content.Content)
	}
}

func TestATeamRoomGetsAMessage(t *testing.T) {
	t.Parallel()
	a, got := sent(t, "teamrooms", teamRoomsOf, event("ping", `{}`), answers(http.StatusOK, `{"id":1}`))
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Equal(t, "/DefaultCollection/_apis/chat/rooms/305/messages", got.Path)
	require.Equal(t, "api-version=1.0", got.Query)
	require.Equal(t, "Basic "+encoded("user", "marked-password"), got.Header.Get("Authorization"))
	var posted map[string]string
	require.NoError(t, json.Unmarshal(got.Body, &posted))
	require.NotEmpty(t, posted["content"])

	withToken := func(base string) map[string]any {
		return map[string]any{"base_url": base, "room_id": 305, "token": markedToken}
	}
	a, got = sent(t, "teamrooms", withToken, event("ping", `{}`), answers(http.StatusBadRequest, `{"message":"VS403: no such room"}`))
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "HTTP 400 Bad Request: VS403: no such room", a.Error)
	require.Equal(t, "Basic "+encoded("", markedToken), got.Header.Get("Authorization"))
}

func TestRoomsAreRetiredAndAskWhereTheyAre(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hipchat", "teamrooms"} {
		sender := service(t, name, safehttp.Policy{})
		require.NotEmpty(t, sender.Describe().Retired)
		_, _, err := sender.Prepare(json.RawMessage(`{"token":"t"}`), nil)
		require.ErrorContains(t, err, "/endpoint/base_url: is required")
	}
	for _, test := range []struct{ login, want string }{
		{``, "token: is required, or user and password"},
		{`,"token":"t","user":"u","password":"p"`, "token: is required, or user and password instead"},
		{`,"user":"u"`, "password: goes together with user"},
	} {
		_, _, err := service(t, "teamrooms", safehttp.Policy{}).Prepare(
			json.RawMessage(`{"base_url":"https://a.example.com","room_id":1`+test.login+`}`), nil)
		require.ErrorContains(t, err, "/endpoint/"+test.want)
	}
}
