package client

import "github.com/carillon-dev/carillon"

// Slack is the endpoint of the channel "slack": an incoming webhook's URL, or,
// for a bot, a channel or a member's address.
type Slack struct {
	// URL is an incoming webhook's; the whole of it is a secret.
	URL string `json:"url,omitempty"`
	// Token is the bot's; the installation's when empty.
	Token string `json:"token,omitempty"`
	// Channel is a name or an id, Email the address of a member instead of it.
	Channel string `json:"channel,omitempty"`
	Email   string `json:"email,omitempty"`
	// Username, and one of IconEmoji and IconURL, are shown instead of the app's.
	Username  string `json:"username,omitempty"`
	IconEmoji string `json:"icon_emoji,omitempty"`
	IconURL   string `json:"icon_url,omitempty"`
	// Message words the messages otherwise.
	Message MessageWords `json:"message,omitzero"`
	// BaseURL is where Slack's Web API is; https://slack.com/api when empty.
	BaseURL string `json:"base_url,omitempty"`
	// Timeout is how long an attempt may take; 15 s when zero.
	Timeout carillon.Duration `json:"timeout,omitzero"`
}

// MessageWords are templates in the place of a default message's; an empty one
// leaves the default.
type MessageWords struct {
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
}
