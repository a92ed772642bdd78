package channels

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/messages"
)

const (
	hipChatName = "hipchat"
	// maxHipChat is how many characters a notification may have.
	maxHipChat = 10_000
)

// The colours of notifications.
const (
	hipChatYellow = "yellow"
	hipChatGreen  = "green"
	hipChatRed    = "red"
	hipChatGray   = "gray"
)

// hipChatEndpoint is the JSON shape of an endpoint of HipChat.
type hipChatEndpoint struct {
	BaseURL string `json:"base_url"`
	Room    string `json:"room"`
	Token   string `json:"token"`
	Color   string `json:"color"`
	// ColorBuilds gives builds the colour of their result.
	ColorBuilds   bool               `json:"color_builds,omitempty"`
	Notify        bool               `json:"notify,omitempty"`
	MessageFormat string             `json:"message_format"`
	Message       messages.Overrides `json:"message,omitzero"`
	Timeout       carillon.Duration  `json:"timeout"`
}

func (e hipChatEndpoint) address() string          { return e.BaseURL }
func (e hipChatEndpoint) limit() carillon.Duration { return e.Timeout }

func newHipChat(x exchanger, p safehttp.Policy) Sender {
	return service[hipChatEndpoint]{
		exchanger: x,
		described: described[hipChatEndpoint]{
			about: Description{
				Name: hipChatName, Title: "HipChat", ForPeople: true, Fields: hipChatFields,
				Text:    "Notifications in a room of a server that speaks HipChat's API, version 2.",
				Retired: "Atlassian ended HipChat in February 2019. It is here for servers and bridges that speak its API.",
			},
			check: func(f form, e *hipChatEndpoint) { checkBase(f, "base_url", e.BaseURL, p) },
		},
		write: writeHipChat,
		send: func(ctx context.Context, a *carillon.Attempt, m Message, e hipChatEndpoint, payload formats.Payload) {
			x.post(ctx, a, m, e, posting{
				url: at(e.BaseURL, "v2", "room", e.Room, "notification"), payload: payload,
				authorization: "Bearer " + e.Token, secrets: []string{e.Token},
			})
			saying(a, answered[struct {
				Error struct {
					Message string `json:"message"`
				} `json:"error"`
			}](a).Error.Message)
		},
	}
}

var hipChatFields = []Field{
	baseURLField("", "https://hipchat.example.com"),
	{Name: "room", Type: Text, Required: true, Max: 100, Example: "Builds", Text: "The room's name or number."},
	{Name: "token", Type: Text, Required: true, Secret: true, Text: "The room's token, or a person's, that may send notifications."},
	{
		Name: "color", Type: Text, Default: json.RawMessage(`"yellow"`),
		Values: []string{hipChatYellow, hipChatGreen, hipChatRed, "purple", hipChatGray, "random"},
		Text:   "The colour behind the notification.",
	},
	{
		Name: "color_builds", Type: Boolean,
		Text: "Builds are gray when they are queued or started, green when they succeed and red when they fail, whatever color says.",
	},
	{Name: "notify", Type: Boolean, Text: "Whether the people in the room are notified, by a sound or on their phones."},
	{
		Name: "message_format", Type: Text, Values: []string{"html", "text"}, Default: json.RawMessage(`"html"`),
		Text: "html has bold titles and a link; text is plain.",
	},
	messageField, timeoutField,
}

func writeHipChat(m Message, e hipChatEndpoint) (formats.Payload, error) {
	message, err := told(m, e.Message)
	if err != nil {
		return formats.Payload{}, err
	}
	text := plain
	if e.MessageFormat == "html" {
		text = hipChatHTML
	}
	message = fitted(message, func(m messages.Message) bool { return utf8.RuneCountInString(text(m)) <= maxHipChat })
	return written(object{
		"message": text(message), "message_format": e.MessageFormat, "notify": e.Notify, "color": e.color(m),
	}), nil
}

// hipChatHTML is a message in the few elements that HipChat knows.
func hipChatHTML(m messages.Message) string {
	var lines []string
	lines = append(lines, "<b>"+asHTML(m.Title)+"</b>")
	if m.Text != "" {
		lines = append(lines, strings.ReplaceAll(asHTML(m.Text), "\n", "<br>"))
	}
	for _, fact := range m.Facts {
		lines = append(lines, "<i>"+asHTML(fact.Label)+"</i>: "+asHTML(fact.Value))
	}
	if m.Link.URL != "" {
		lines = append(lines, `<a href="`+asHTML(m.Link.URL)+`">`+asHTML(linkLabel(m.Link))+"</a>")
	}
	return strings.Join(lines, "<br>")
}

// color is the notification's: a build's own, where that is wished.
func (e hipChatEndpoint) color(m Message) string {
	if !e.ColorBuilds || len(m.Batch) > 1 || !strings.HasPrefix(m.Event.Type, "build.") {
		return e.Color
	}
	var data struct {
		Result string `json:"result"`
	}
	_ = json.Unmarshal(m.Event.Data, &data) // one without a result has none yet
	switch strings.ToLower(data.Result) {
	case "":
		return hipChatGray
	case "success", "succeeded":
		return hipChatGreen
	default:
		return hipChatRed
	}
}
