package channels

import (
	"encoding/json"
	"net/mail"
	"net/url"
	"regexp"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

const (
	slackName = "slack"
	// slackBase is where Slack's Web API is; GovSlack has another.
	slackBase = "https://slack.com/api"
	slackHost = "slack.com"
	// slackHooks is where Slack's incoming webhooks are.
	slackHooks = "hooks.slack.com"
)

// slackEndpoint is the JSON shape of an endpoint: an incoming webhook's URL, or
// a channel or a user for a bot.
type slackEndpoint struct {
	URL       string             `json:"url,omitempty"`
	Token     string             `json:"token,omitempty"`
	Channel   string             `json:"channel,omitempty"`
	Email     string             `json:"email,omitempty"`
	Username  string             `json:"username,omitempty"`
	IconEmoji string             `json:"icon_emoji,omitempty"`
	IconURL   string             `json:"icon_url,omitempty"`
	Message   messages.Overrides `json:"message,omitzero"`
	BaseURL   string             `json:"base_url,omitempty"`
	Timeout   carillon.Duration  `json:"timeout"`
}

var slackDescription = Description{
	Name: slackName, Title: "Slack", ForPeople: true,
	Text: "Messages in a Slack channel, or to one person: by an incoming webhook, or by a bot, which also threads what " +
		"belongs together.",
	Fields: []Field{
		{
			Name: "url", Type: URL, Secret: true, Max: maxURLBytes, Example: "https://hooks.slack.com/services/T…/B…/…",
			Text: "The URL of an incoming webhook, which leads to its channel. Instead of it, a bot's token.",
		},
		{
			Name: "token", Type: Text, Secret: true, Shared: true, Max: maxSecretBytes, Example: "xoxb-…",
			Text: "The bot's token. Left out, it is the installation's.",
		},
		{
			Name: "channel", Type: Text, Max: 100, Example: "#releases",
			Text: "The channel's name or id. Of webhooks, only those of a legacy custom integration go by it.",
		},
		{
			Name: "email", Type: Text, Max: 254, Example: "zoe@example.com",
			Text: "Whom a bot tells directly, instead of a channel: the address of a member of the workspace.",
		},
		{Name: "username", Type: Text, Max: 80, Example: "Carillon", Text: "Who the messages say they are from. A bot needs chat:write.customize for it."},
		{Name: "icon_emoji", Type: Text, Max: 100, Example: ":bell:", Text: "The emoji beside the messages, instead of the app's icon."},
		{Name: "icon_url", Type: URL, Max: maxURLBytes, Text: "The image beside the messages, instead of the app's icon."},
		messageField,
		{
			Name: "base_url", Type: URL, Shared: true, Moves: true, Default: json.RawMessage(`"` + slackBase + `"`), Max: maxURLBytes,
			Text: "Where Slack's Web API is, such as https://slack-gov.com/api.",
		},
		timeoutField,
	},
}

var slackEmoji = regexp.MustCompile(`^:[^\s:]+:$`)

// checkSlack notes what the fields cannot say of themselves.
func checkSlack(f form, e *slackEndpoint) {
	if e.IconEmoji != "" && !slackEmoji.MatchString(e.IconEmoji) {
		f.wrong("icon_emoji", "must be the name of an emoji between colons, such as :bell:")
	}
	if e.IconEmoji != "" && e.IconURL != "" {
		f.wrong("icon_url", "cannot be given together with icon_emoji")
	}
	if e.URL != "" {
		checkSlackWebhook(f, e)
		return
	}
	switch {
	case e.Channel == "" && e.Email == "":
		f.wrong("channel", "is required, or email, or the url of an incoming webhook")
	case e.Channel != "" && e.Email != "":
		f.wrong("email", "cannot be given together with channel")
	case e.Email != "" && !isSlackAddress(e.Email):
		f.wrong("email", "must be one address, such as zoe@example.com")
	}
	if e.Token != "" && (e.BaseURL == "" || e.BaseURL == slackBase) && !strings.HasPrefix(e.Token, "xoxb-") &&
		!strings.HasPrefix(e.Token, "xoxp-") && !strings.HasPrefix(e.Token, "xoxe.") {
		f.wrong("token", "is none with which Slack takes messages: a bot's begins with xoxb-")
	}
}

func checkSlackWebhook(f form, e *slackEndpoint) {
	for _, field := range []struct{ name, value string }{{"token", e.Token}, {"email", e.Email}, {"base_url", e.BaseURL}} {
		if field.value != "" {
			f.wrong(field.name, "is for bots, and cannot be given together with url")
		}
	}
	target, err := url.Parse(e.URL)
	if err != nil || !strings.EqualFold(target.Hostname(), slackHooks) {
		return
	}
	if strings.HasPrefix(target.Path, "/workflows/") || strings.HasPrefix(target.Path, "/triggers/") {
		f.wrong("url", "starts a workflow, which takes no messages: give the URL of an incoming webhook")
	}
}

// isSlackAddress reports whether text is one address and nothing else.
func isSlackAddress(text string) bool {
	address, err := mail.ParseAddress(text)
	return err == nil && address.Address == text
}

// Warnings implements [Warner]. The URLs of both kinds of webhooks look alike,
// and Slack says nothing of what it passes over.
func (s *slack) Warnings(e carillon.Endpoint) []carillon.Problem {
	endpoint, ok := s.read(e)
	if !ok || endpoint.URL == "" {
		return nil
	}
	var found []carillon.Problem
	for _, field := range []struct{ name, value string }{
		{"channel", endpoint.Channel}, {"username", endpoint.Username}, {"icon_emoji", endpoint.IconEmoji}, {"icon_url", endpoint.IconURL},
	} {
		if field.value != "" {
			found = append(found, carillon.Problem{
				Pointer: "/endpoint/" + field.name,
				Detail: "only a webhook of a legacy custom integration goes by it: that of a Slack app posts to the channel, and under " +
					"the name, that it was made for, whatever is given here",
			})
		}
	}
	return found
}
