package client

import (
	"context"
	"net/http"
)

// Format is how a webhook's payload can be written.
type Format struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// EventTypes are those that it carries.
	EventTypes []FormatType `json:"event_types"`
	// Options are what a subscription can choose in its FormatOptions.
	Options []FormatOption `json:"options"`
	// Headers are those that it sets beside Content-Type.
	Headers []FormatHeader `json:"headers"`
	// TokenHeader takes the endpoint's Token; empty when there is none.
	TokenHeader string `json:"token_header"`
}

// FormatType is an event type that a format carries.
type FormatType struct {
	Type string `json:"type"`
	// Name is what the product calls it.
	Name string `json:"name"`
}

// FormatOption is something that a subscription can choose.
type FormatOption struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Values are what is allowed; nil when that is free.
	Values  []string `json:"values"`
	Default string   `json:"default"`
}

// FormatHeader is a header that a format sets.
type FormatHeader struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Formats lists all formats.
func (c *Client) Formats(ctx context.Context) ([]Format, error) {
	var page Page[Format]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/formats", answer: &page})
	return page.Items, err
}
