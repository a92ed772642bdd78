package client

import (
	"context"
	"net/http"

	"github.com/carillon-dev/carillon"
)

// NewMessagePreview asks what people are told of an event over a channel. It
// has one of Event, EventID and EventType.
type NewMessagePreview struct {
	// Channel is one that writes for people.
	Channel string `json:"channel"`
	// Endpoint is that of a subscription; only its message matters here.
	Endpoint any `json:"endpoint,omitempty"`
	// Event is one that need not have been published.
	Event *NewEvent `json:"event,omitempty"`
	// EventID names one that was published.
	EventID string `json:"event_id,omitempty"`
	// EventType takes the example of a type in the catalog.
	EventType string `json:"event_type,omitempty"`
}

// MessagePreview is what people are told of an event, before a channel writes
// it in its own way.
type MessagePreview struct {
	Title string        `json:"title"`
	Text  string        `json:"text"`
	Facts []MessageFact `json:"facts"`
	// Link is where to read on; nil for nowhere.
	Link *MessageLink `json:"link"`
	// Level is neutral, good, warning, failed, high or critical.
	Level string `json:"level"`
	// Topic is what follow-ups share; empty for none.
	Topic string `json:"topic"`
	// Errors say which of the endpoint's own words cannot be written for this
	// event; the default ones are there in their place.
	Errors []carillon.Problem `json:"errors"`
	// Event is the one that is told.
	Event carillon.Event `json:"event"`
}

// MessageFact is one detail.
type MessageFact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// MessageLink is an address and what it is called.
type MessageLink struct {
	Label string `json:"label"`
	URL   string `json:"url"`
}

// PreviewMessage writes what people are told of one event. Nothing is sent. Its
// error is [carillon.CodeInvalid], with pointer, line and column, when the
// endpoint's own words do not compile for the event's type.
func (c *Client) PreviewMessage(ctx context.Context, n NewMessagePreview) (MessagePreview, error) {
	var p MessagePreview
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/messages/preview", body: n, answer: &p})
	return p, err
}
