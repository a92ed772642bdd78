package channels_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

// teamsMessage is what a workflow is sent.
type teamsMessage struct {
	Type        string
	Attachments []struct {
		ContentType string
		ContentURL  *string `json:"contentUrl"`
		Content     json.RawMessage
	}
}

// payload is what a sender would send of an event.
func payload(t *testing.T, name, endpoint string, events ...carillon.Event) []byte {
	t.Helper()
	sender := service(t, name, safehttp.Policy{})
	kept, _, err := sender.Prepare(json.RawMessage(endpoint), nil)
	require.NoError(t, err)
	m := channels.Message{Event: events[0], Endpoint: kept, Number: 1}
	if len(events) > 1 {
		m.Batch = events
	}
	p, err := sender.(channels.Renderer).Payload(m)
	require.NoError(t, err)
	return p.Body
}

// teamsCard is the one card of a workflow's message.
func teamsCard(t *testing.T, body []byte) json.RawMessage {
	t.Helper()
	require.LessOrEqual(t, len(body), 28_000)
	var m teamsMessage
	require.NoError(t, json.Unmarshal(body, &m))
	require.Equal(t, "message", m.Type)
	require.Len(t, m.Attachments, 1)
	require.Equal(t, "application/vnd.microsoft.card.adaptive", m.Attachments[0].ContentType)
	require.Nil(t, m.Attachments[0].ContentURL)
	return m.Attachments[0].Content
}

const workflowURL = `"url":"https://prod-07.westeurope.logic.azure.com/workflows/abc/triggers/manual/paths/invoke?sig=def"`

// huge is an event with texts of any characters and sizes, as large as events
// can be.
func huge(r *rand.Rand) carillon.Event {
	alphabets := []string{"abc ", "<&>\"\\/ ", "\u0001\u001f\u2028 ", "пакет ", "包裹 ", "👩‍👩‍👧‍👦🏽 ", "a\u0301\u0302 ", "**_[x](http://evil.example.com) "}
	text := func(most int) string {
		var b strings.Builder
		for want := r.IntN(most + 1); b.Len() < want; {
			alphabet := []rune(alphabets[r.IntN(len(alphabets))])
			for range r.IntN(40) {
				b.WriteRune(alphabet[r.IntN(len(alphabet))])
			}
		}
		return b.String()
	}
	data, _ := json.Marshal(map[string]string{"title": "T" + text(3000), "text": text(150_000), "url": "https://example.com/" + text(3000)})
	e := event("package.added", string(data))
	e.Actor = text(200)
	e.Scope = map[string]string{}
	for i := range r.IntN(16) {
		e.Scope[fmt.Sprintf("key%d", i)] = "V" + text(250)
	}
	return e
}

func TestCardsAreWhatTeamsTakes(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile("testdata/adaptive-card-1.4.json")
	require.NoError(t, err)
	var cards []json.RawMessage
	for name, e := range eventsOfEachType(t) {
		cards = append(cards, teamsCard(t, payload(t, "teams", "{"+workflowURL+"}", e)))
		requireMessageCard(t, payload(t, "teams", `{"kind":"connector",`+workflowURL+"}", e), name)
	}
	require.Greater(t, len(cards), 40)
	r := rand.New(rand.NewPCG(7, 11))
	words := `,"message":{"title":"${data.title}","text":"${data.text}"}}`
	for range 8 {
		e := huge(r)
		card := teamsCard(t, payload(t, "teams", "{"+workflowURL+words, e))
		require.Contains(t, string(card), `"fallbackText":"T`)
		cards = append(cards, card)
		requireMessageCard(t, payload(t, "teams", `{"kind":"connector",`+workflowURL+words, e), "a huge event")
	}
	for _, card := range cards {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(card)))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(value), string(card))
	}
	if out, ok := throughNode(t, "card.mjs", cards); ok {
		require.Equal(t, fmt.Sprintf("%d cards\n", len(cards)), out)
	}
}

// eventsOfEachType are the catalog's examples, by their types.
func eventsOfEachType(t *testing.T) map[string]carillon.Event {
	t.Helper()
	types, err := catalog.Load()
	require.NoError(t, err)
	events := map[string]carillon.Event{}
	for _, kind := range types.Types() {
		e := kind.Example
		e.ID, e.Type = "evt_1", kind.Name
		events[kind.Name] = e
	}
	return events
}

func requireMessageCard(t *testing.T, body []byte, name string) {
	t.Helper()
	require.LessOrEqual(t, len(body), 28_000, name)
	var card struct {
		Type       string `json:"@type"`
		Context    string `json:"@context"`
		Summary    string
		Title      string
		ThemeColor string
		Sections   []struct {
			Markdown *bool
			Facts    []struct{ Name, Value string }
		}
	}
	require.NoError(t, json.Unmarshal(body, &card), name)
	require.Equal(t, "MessageCard", card.Type)
	require.Equal(t, "https://schema.org/extensions", card.Context)
	require.NotEmpty(t, card.Summary, name)
	require.NotEmpty(t, card.Title, name)
	require.Regexp(t, "^[0-9A-F]{6}$", card.ThemeColor)
	require.False(t, *card.Sections[0].Markdown)
	for _, fact := range card.Sections[0].Facts {
		require.NotContains(t, fact.Value, "<")
	}
}

func TestACardSaysWhatTheMessageSays(t *testing.T) {
	t.Parallel()
	e := event("package.added", `{"package":"__init__","version":"1.0","more":"[click](http://evil.example.com)"}`)
	e.Scope, e.Actor = map[string]string{"feed": "internal_utils"}, "maartenba"
	card := string(teamsCard(t, payload(t, "teams", `{`+workflowURL+
		`,"message":{"title":"${data.package} ${data.version} <b>","text":"first line\n\n${data.more}"}}`, e)))
	for _, want := range []string{
		`"text":"__init__ 1.0 <b>"`, `"text":"first line"`, `"text":"[click](http://evil.example.com)"`, `"text":"internal_utils"`, `"text":"maartenba"`,
	} {
		require.Contains(t, card, want)
	}
	require.NotContains(t, card, `"TextBlock"`, "which reads Markdown")
}

func TestThereIsOneCardOfManyEvents(t *testing.T) {
	t.Parallel()
	e := event("package.added", `{"package":"a","version":"1"}`)
	card := teamsCard(t, payload(t, "teams", "{"+workflowURL+"}", e, e, e))
	require.Contains(t, string(card), "3")
}

func TestTheHostTellsWhatKindOfURLItIs(t *testing.T) {
	t.Parallel()
	for url, connector := range map[string]bool{
		"https://contoso.webhook.office.com/webhookb2/1/IncomingWebhook/2/3":           true,
		"https://outlook.office.com/webhook/1/IncomingWebhook/2/3":                     true,
		"https://OUTLOOK.office365.com/webhook/1":                                      true,
		"https://prod-07.westeurope.logic.azure.com:443/workflows/1?sig=2":             false,
		"https://default1.environment.api.powerplatform.com:443/powerautomate/1?sig=2": false,
		"https://webhook.office.com.example.com/1":                                     false,
	} {
		body := payload(t, "teams", `{"url":"`+url+`"}`, event("ping", `{}`))
		require.Equal(t, connector, strings.Contains(string(body), "MessageCard"), url)
	}
}

func TestAURLOfTeamsIsASecret(t *testing.T) {
	t.Parallel()
	sender := service(t, "teams", safehttp.Policy{})
	kept, _, err := sender.Prepare(json.RawMessage("{"+workflowURL+"}"), nil)
	require.NoError(t, err)
	require.Equal(t, "prod-07.westeurope.logic.azure.com", sender.Host(kept))
	require.NotContains(t, string(sender.Redact(kept)), "workflows")
	require.NotContains(t, string(sender.Redact(kept)), "azure")
}

func TestWhatAConnectorAnswersDecides(t *testing.T) {
	t.Parallel()
	const failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error %s with ContextId tcid=0,server=msgapi-1"
	for name, test := range map[string]struct {
		status   int
		body     string
		outcome  carillon.Outcome
		errorHas string
	}{
		"1":                     {200, "1", carillon.OutcomeDelivered, ""},
		"2, with a line":        {200, "2\r\n", carillon.OutcomeDelivered, ""},
		"nothing":               {202, "", carillon.OutcomeDelivered, ""},
		"too many":              {200, fmt.Sprintf(failed, "429"), carillon.OutcomeRetry, "the connector answered 200 but failed: Webhook message delivery failed"},
		"too large":             {200, fmt.Sprintf(failed, "413"), carillon.OutcomeRetry, "HTTP error 413"},
		"gone":                  {200, fmt.Sprintf(failed, "410"), carillon.OutcomeGone, "HTTP error 410"},
		"a success that failed": {200, fmt.Sprintf(failed, "200"), carillon.OutcomeRetry, "HTTP error 200"},
		"a text without a code": {200, "Webhook message delivery failed with error: Error contacting Microsoft Teams endpoint", carillon.OutcomeRetry, "Error contacting"},
		"a status of its own":   {400, "Summary or Text is required.", carillon.OutcomeRetry, "HTTP 400"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, got := sent(t, "teams", teamsOf("connector"), event("ping", `{}`), answers(test.status, test.body))
			require.Equal(t, test.outcome, a.Outcome, a.Error)
			require.Contains(t, a.Error, test.errorHas)
			require.Equal(t, test.errorHas == "", a.Error == "", a.Error)
			require.Contains(t, string(got.Body), "MessageCard")
		})
	}
}

func TestAWorkflowThatAcceptsHasTheCard(t *testing.T) {
	t.Parallel()
	a, got := sent(t, "teams", teamsOf("workflow"), event("ping", `{}`), answers(http.StatusAccepted, ""))
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Equal(t, "POST", got.Method)
	require.Equal(t, markedQuery, got.Query)
	require.Equal(t, "application/json; charset=utf-8", got.Header.Get("Content-Type"))
	require.Equal(t, "Carillon/dev", got.Header.Get("User-Agent"))
	teamsCard(t, got.Body)
}
