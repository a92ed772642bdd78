package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/carillon-dev/carillon"
)

// NewPreview asks what a template makes of an event. It has one of Event,
// EventID and EventType.
type NewPreview struct {
	// Content is the template, as in the options of the format custom: JSON
	// whose strings may hold ${…}, or a text.
	Content any `json:"content"`
	// ContentType is the payload's; of JSON "application/json" when empty, of a
	// text "text/plain".
	ContentType string `json:"content_type,omitempty"`
	// Escape is none, html or slack; none when empty.
	Escape string `json:"escape,omitempty"`
	// Event is one that need not have been published.
	Event *NewEvent `json:"event,omitempty"`
	// EventID names one that was published.
	EventID string `json:"event_id,omitempty"`
	// EventType takes the example of a type in the catalog.
	EventType string `json:"event_type,omitempty"`
}

// Preview is what a template makes of an event.
type Preview struct {
	ContentType string `json:"content_type"`
	// Payload is what would be sent; nil when there is an Error.
	Payload *string `json:"payload"`
	// Error is why there is none for this event.
	Error *carillon.Problem `json:"error"`
	// Event is the one that was written.
	Event carillon.Event `json:"event"`
}

// PreviewTemplate writes a template for one event. Nothing is sent. Its error
// is [carillon.CodeInvalid], with pointer, line and column, when the template
// does not compile for the event's type.
func (c *Client) PreviewTemplate(ctx context.Context, n NewPreview) (Preview, error) {
	var p Preview
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/templates/preview", body: n, answer: &p})
	return p, err
}

// ImportedTemplate is what became of the content of a ProGet webhook: options
// of the format custom, and what is not in them.
type ImportedTemplate struct {
	Content     json.RawMessage `json:"content"`
	ContentType string          `json:"content_type"`
	Unconverted []Unconverted   `json:"unconverted"`
}

// Unconverted is a piece of a content that has no counterpart in a template.
type Unconverted struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
	Why    string `json:"why"`
}

// ImportProGetTemplate converts the content of a ProGet webhook. contentType is
// the webhook's, "application/json" when empty.
func (c *Client) ImportProGetTemplate(ctx context.Context, content, contentType string) (ImportedTemplate, error) {
	var t ImportedTemplate
	body := map[string]string{"content": content}
	if contentType != "" {
		body["content_type"] = contentType
	}
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/templates/import/proget", body: body, answer: &t})
	return t, err
}
