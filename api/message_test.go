package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// pager is a channel for people.
type pager struct{ channels.Sender }

func (pager) Name() string { return "pager" }

func (pager) Describe() channels.Description { return channels.Description{ForPeople: true} }

func previewing(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.deps.Channels["pager"] = pager{b.deps.Channels["webhook"]}
	return b
}

func message(body string) call {
	return call{method: http.MethodPost, path: "/v1/messages/preview", body: body}
}

func TestPreviewOfAMessageOnAnExampleAPostedAndAPastEvent(t *testing.T) {
	t.Parallel()
	b := previewing(t)
	b.keep(published())
	for name, c := range map[string]struct{ body, title, text, level, topic string }{
		"the catalog's example": {
			`"event_type": "sca.vulnerability_detected"`,
			"High vulnerability PGV-2245804 was found in Newtonsoft.Json 12.0.3 (internal-utils)",
			"Improper Handling of Exceptional Conditions in Newtonsoft.Json", "high", "package:nuget/Newtonsoft.Json",
		},
		"a posted event": {
			`"event": {"type": "package.added", "source": "s", "actor": "anna", "data": {"package": "p"}}`, "p was added by anna", "", "neutral", "package:/p",
		},
		"a past event": {
			`"event_id": "evt_1"`, "MyCorp.CoolUtils 3.2.0 was added to internal-utils by maartenba", "", "neutral", "package:nuget/MyCorp.CoolUtils",
		},
		"the subscription's own words, out of the whole endpoint": {
			`"event_id": "evt_1", "endpoint": {"url": "https://chat.example.com", "message": {"title": "New: ${data.package}", "text": "by\n${actor}"}}`,
			"New: MyCorp.CoolUtils", "by\nmaartenba", "neutral", "package:nuget/MyCorp.CoolUtils",
		},
	} {
		v := decode[messageView](t, b.ok(t, http.StatusOK, message(`{"channel": "pager", `+c.body+`}`)))
		require.Equal(t, c.title, v.Title, name)
		require.Equal(t, c.text, v.Text, name)
		require.Equal(t, c.level, v.Level, name)
		require.Equal(t, c.topic, v.Topic, name)
		require.NotEmpty(t, v.Facts, name)
		require.NotEmpty(t, v.Event.Type, name)
		require.Empty(t, v.Errors, name)
	}
}

func TestPreviewOfAMessageSaysWhichWordsLeaveTheDefault(t *testing.T) {
	t.Parallel()
	b := previewing(t)
	v := decode[messageView](t, b.ok(t, http.StatusOK, message(
		`{"channel": "pager", "event_type": "package.added", "endpoint": {"message": {"title": "a\n${int(data.package)}", "text": "${data.version}"}}}`)))
	require.Equal(t, "GoogleAnalyticsTracker.WP8 1.0.0-CI00002 was added to sample-feed by maartenba", v.Title)
	require.Equal(t, "1.0.0-CI00002", v.Text)
	require.Equal(t, &linkView{
		Label: "View the package", URL: "https://www.myget.org/feed/sample-feed/package/GoogleAnalyticsTracker.WP8/1.0.0-CI00002",
	}, v.Link)
	require.Len(t, v.Errors, 1)
	require.Equal(t, previewErrorView{Pointer: "/endpoint/message/title", Line: 2, Column: 6, Detail: v.Errors[0].Detail}, v.Errors[0])
	require.NotEmpty(t, v.Errors[0].Detail)
}

func TestPreviewOfAMessageRefuses(t *testing.T) {
	t.Parallel()
	b := previewing(t)
	ping := `"event": {"type": "ping", "source": "s", "data": {}}`
	for body, want := range map[string]carillon.Problem{
		`{` + ping + `}`:                                                                              {Pointer: "/channel", Detail: "is required"},
		`{"channel": "webhook", ` + ping + `}`:                                                        {Pointer: "/channel", Detail: "there are alert, email"},
		`{"channel": "smoke", ` + ping + `}`:                                                          {Pointer: "/channel", Detail: "there are alert, email"},
		`{"channel": "pager"}`:                                                                        {Pointer: "/event"},
		`{"channel": "pager", "event_type": "pong"}`:                                                  {Pointer: "/event_type"},
		`{"channel": "pager", "text": "x", ` + ping + `}`:                                             {Pointer: "/text"},
		`{"channel": "pager", "endpoint": [], ` + ping + `}`:                                          {Pointer: "/endpoint"},
		`{"channel": "pager", "endpoint": {"message": "x"}, ` + ping + `}`:                            {Pointer: "/endpoint/message"},
		`{"channel": "pager", "endpoint": {"message": {"title": 1}}, ` + ping + `}`:                   {Pointer: "/endpoint/message/title"},
		`{"channel": "pager", "endpoint": {"message": {"titel": "x"}}, ` + ping + `}`:                 {Pointer: "/endpoint/message/titel"},
		`{"channel": "pager", "endpoint": {"message": {"text": "a\n${actr}"}}, "event_type": "ping"}`: {Pointer: "/endpoint/message/text", Line: 2, Column: 3},
		`{"channel": "pager", "endpoint": {"message": {"title": "${data.pakage}"}}, "event_type": "package.added"}`: {
			Pointer: "/endpoint/message/title", Line: 1, Column: 7, Detail: "package.added has no field data.pakage; did you mean package?",
		},
	} {
		v := b.problem(t, http.StatusUnprocessableEntity, message(body))
		require.NotEmpty(t, v.Errors, body)
		require.Equal(t, want.Pointer, v.Errors[0].Pointer, body)
		require.Equal(t, want.Line, v.Errors[0].Line, body)
		require.Equal(t, want.Column, v.Errors[0].Column, body)
		require.Contains(t, v.Errors[0].Detail, want.Detail, body)
	}
	b.ok(t, http.StatusNotFound, message(`{"channel": "pager", "event_id": "evt_none"}`))
	long := `{"channel": "pager", "event_type": "ping", "endpoint": {"message": {"title": "` + strings.Repeat("x", 33<<10) + `"}}}`
	require.Equal(t, "/endpoint/message/title", b.problem(t, http.StatusUnprocessableEntity, message(long)).Errors[0].Pointer)
}

func TestMessagePreviewIsWhatTheClientReads(t *testing.T) {
	t.Parallel()
	golden(t, "message_preview", previewing(t).ok(t, http.StatusOK, message(
		`{"channel":"pager","endpoint":{"message":{"title":"${int(actor)}"}},"event_type":"package.added"}`)))
}
