package channels_test

import (
	"encoding/json"
	"html"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/strict"
	"github.com/carillon-dev/carillon/messages"
)

// written is what one attempt brought to the other side, as somebody reads it.
type written struct {
	title string
	// texts are those that stand for each other, such as a mail's text and its
	// page: each must say all.
	texts []string
	// raw is the whole, as it went over the wire.
	raw string
}

// way is one way in which a channel writes.
type way struct {
	// fields is the endpoint to post, for a service at the base.
	fields func(base string) map[string]any
	// answer is what the service says to every message.
	answer string
	// read reads the body of a request.
	read func(t *testing.T, body []byte) written
	// brief channels have room for the title only.
	brief bool
}

// ways are those of all channels for people that call a service.
func ways() map[string]map[string]way {
	with := func(fields func(string) map[string]any, name string, value any) func(string) map[string]any {
		return func(base string) map[string]any {
			posted := fields(base)
			posted[name] = value
			return posted
		}
	}
	return map[string]map[string]way{
		"slack": {
			"a webhook": {
				fields: func(base string) map[string]any { return map[string]any{"url": base + slackWebhook} }, answer: "ok", read: readSlack,
			},
			"a bot": {
				fields: func(base string) map[string]any {
					return map[string]any{"token": slackToken, "base_url": base + "/api", "channel": "#releases"}
				},
				answer: `{"ok":true,"channel":"C0RELEASES","ts":"1.2"}`, read: readSlack,
			},
		},
		"teams": {
			"a workflow":  {fields: teamsOf("workflow"), read: readCard},
			"a connector": {fields: teamsOf("connector"), answer: "1", read: readConnectorCard},
		},
		"twilio": {"an SMS": {fields: twilioOf, answer: `{"sid":"SM1"}`, read: readSMS, brief: true}},
		"x":      {"a post": {fields: xOf, answer: `{"data":{"id":"1"}}`, read: field("text", false), brief: true}},
		"hipchat": {
			"html": {fields: hipChatOf, read: field("message", true)},
			"text": {fields: with(hipChatOf, "message_format", "text"), read: field("message", false)},
		},
		"teamrooms": {"a message": {fields: teamRoomsOf, read: field("content", false)}},
	}
}

// spoken are the texts of a JSON value, without its keys.
func spoken(t *testing.T, body []byte) string {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal(body, &value), string(body))
	var lines []string
	var walk func(any)
	walk = func(value any) {
		switch v := value.(type) {
		case string:
			lines = append(lines, v)
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(value)
	return html.UnescapeString(strings.Join(lines, "\n"))
}

func readSlack(t *testing.T, body []byte) written {
	t.Helper()
	var m struct {
		Text        string
		Blocks      json.RawMessage
		Attachments json.RawMessage
	}
	require.NoError(t, json.Unmarshal(body, &m))
	return written{title: m.Text, texts: []string{spoken(t, body)}, raw: string(body)}
}

func readCard(t *testing.T, body []byte) written {
	t.Helper()
	card := teamsCard(t, body)
	var m struct {
		FallbackText string
		Body         []struct {
			Items []struct{ Inlines []struct{ Text string } }
		}
	}
	require.NoError(t, json.Unmarshal(card, &m))
	require.Equal(t, m.FallbackText, m.Body[0].Items[0].Inlines[0].Text)
	return written{title: m.FallbackText, texts: []string{spoken(t, card)}, raw: string(body)}
}

func readConnectorCard(t *testing.T, body []byte) written {
	t.Helper()
	var m struct{ Title, Summary string }
	require.NoError(t, json.Unmarshal(body, &m))
	require.Equal(t, m.Title, m.Summary)
	return written{title: m.Title, texts: []string{spoken(t, body)}, raw: string(body)}
}

func readSMS(t *testing.T, body []byte) written {
	t.Helper()
	form, err := url.ParseQuery(string(body))
	require.NoError(t, err)
	return written{title: form.Get("Body"), texts: []string{form.Get("Body")}, raw: form.Get("Body")}
}

// field reads a message that is one field, the title first.
func field(name string, markup bool) func(*testing.T, []byte) written {
	return func(t *testing.T, body []byte) written {
		t.Helper()
		var m map[string]any
		require.NoError(t, json.Unmarshal(body, &m))
		raw, _ := m[name].(string)
		text := raw
		if markup {
			text = page(raw)
		}
		title, _, _ := strings.Cut(text, "\n")
		return written{title: title, texts: []string{text}, raw: raw}
	}
}

var (
	unseen = regexp.MustCompile(`(?s)<style.*?</style>|<!--.*?-->`)
	breaks = regexp.MustCompile(`<br>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

// page is what a browser shows of HTML.
func page(markup string) string {
	text := breaks.ReplaceAllString(unseen.ReplaceAllString(markup, ""), "\n")
	return strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(text, "")))
}

// unreadable is what no message may have, and unwritten what none may even be
// made of.
var (
	unreadable = regexp.MustCompile(`<nil>|map\[|%!|\bnull\b|<no value>`)
	unwritten  = regexp.MustCompile(`<nil>|&lt;nil&gt;|\\u003cnil\\u003e|map\[|%!\w?\(`)
)

// requireTells holds what was written to what the event says.
func requireTells(t *testing.T, w written, e carillon.Event, brief bool) {
	t.Helper()
	require.NotEmpty(t, strings.TrimSpace(w.title), "%s: %s", e.Type, w.raw)
	require.NotRegexp(t, unwritten, w.raw, "%s: %s", e.Type, e.Data)
	require.NotEmpty(t, w.texts)
	m, err := messages.Write(e, messages.Overrides{})
	require.NoError(t, err)
	for _, text := range w.texts {
		require.NotRegexp(t, unreadable, text, "%s: %s", e.Type, e.Data)
		for _, value := range strict.Tells(e) {
			if !brief || strings.Contains(m.Title, value) {
				require.Contains(t, text, value, "%s: %s", e.Type, e.Data)
			}
		}
	}
}

// eachEvent calls f with the example of every type, and with a random event of
// it.
func eachEvent(t *testing.T, f func(carillon.Event)) {
	t.Helper()
	types, err := catalog.Load()
	require.NoError(t, err)
	for i, typ := range types.Types() {
		f(typ.Example)
		e, err := strict.RandomEvent(typ, rand.New(rand.NewPCG(11, uint64(i))))
		require.NoError(t, err)
		require.NoError(t, types.CheckData(e), "%s", e.Data)
		f(e)
	}
	require.Greater(t, len(types.Types()), 90)
}

func TestEveryChannelTellsOfEveryEvent(t *testing.T) {
	t.Parallel()
	registry := channels.NewRegistry(channels.Config{Policy: loopback, Now: time.Now, Inbox: &inbox{}})
	calling := ways()
	for name := range registry {
		if !registry.ForPeople(name) || name == "email" || name == "alert" {
			continue
		}
		require.NotEmpty(t, calling[name], "say in this test how %s is read", name)
		for kind, w := range calling[name] {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				var got []byte
				base := server(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					mu.Lock()
					got = body
					mu.Unlock()
					_, _ = io.WriteString(rw, w.answer)
				}), (*httptest.Server).Start)
				sender := registry[name]
				endpoint := kept(t, sender, w.fields(base))
				eachEvent(t, func(e carillon.Event) {
					a := sender.Attempt(t.Context(), channels.Message{Event: e, Endpoint: endpoint, Number: 1, Subscription: "sub_1"})
					require.Equal(t, carillon.OutcomeDelivered, a.Outcome, "%s: %s", e.Type, a.Error)
					mu.Lock()
					defer mu.Unlock()
					requireTells(t, w.read(t, got), e, w.brief)
				})
			})
		}
	}
}

func TestAMailTellsOfEveryEvent(t *testing.T) {
	t.Parallel()
	s := startMail(t, &mailServer{})
	run := mailing(t, s, nil)
	sent := 0
	eachEvent(t, func(e carillon.Event) {
		a := run.sender.Attempt(t.Context(), channels.Message{Event: e, Endpoint: run.endpoint, Number: 1, Subscription: "sub_1"})
		require.Equal(t, carillon.OutcomeDelivered, a.Outcome, "%s: %s", e.Type, a.Error)
		mails := s.taken()
		sent++
		require.Len(t, mails, sent)
		read := parseMail(t, mails[sent-1].data)
		require.Equal(t, []string{"text/plain", "text/html"}, read.types)
		requireTells(t, written{
			title: decoded(t, read.header.Get("Subject")), texts: []string{read.parts["text/plain"], page(read.parts["text/html"])},
			raw: read.parts["text/plain"] + read.parts["text/html"],
		}, e, false)
	})
}

func TestAnAlertTellsOfEveryEvent(t *testing.T) {
	t.Parallel()
	i := &inbox{}
	sender := inboxSender(i)
	endpoint := kept(t, sender, map[string]any{})
	eachEvent(t, func(e carillon.Event) {
		a := sender.Attempt(t.Context(), channels.Message{Event: e, Endpoint: endpoint, Number: 1, Subscription: "sub_1"})
		require.Equal(t, carillon.OutcomeDelivered, a.Outcome, "%s: %s", e.Type, a.Error)
		row := i.alerts[len(i.alerts)-1]
		require.Equal(t, e.ID, row.EventID)
		require.Equal(t, e.Type, row.EventType)
		text := row.Title + "\n" + row.Text + "\n" + row.Link
		requireTells(t, written{title: row.Title, texts: []string{text}, raw: text}, e, false)
	})
}
