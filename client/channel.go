package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// Channel is a way to reach somebody.
type Channel struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// ForPeople channels write messages for people, not payloads for programs.
	ForPeople bool `json:"for_people"`
	// Retired says why nobody should choose it any more.
	Retired string `json:"retired"`
	// Fields are those of a subscription's endpoint.
	Fields []ChannelField `json:"fields"`
}

// ChannelField is a field of an endpoint.
type ChannelField struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Required    bool            `json:"required"`
	Default     json.RawMessage `json:"default"`
	Example     string          `json:"example"`
	// Values are what is allowed; nil when that is free.
	Values []string `json:"values"`
	// Secret fields are write-only: they are answered masked.
	Secret   bool `json:"secret"`
	ReadOnly bool `json:"read_only"`
	// Template fields may hold ${…} expressions.
	Template bool `json:"template"`
	// Shared fields may be set once for the installation.
	Shared bool `json:"shared"`
	// Separator, unless empty, is between texts that may be given as one.
	Separator string         `json:"separator"`
	Min       int            `json:"min"`
	Max       int            `json:"max"`
	Fields    []ChannelField `json:"fields"`
}

// Channels lists all channels.
func (c *Client) Channels(ctx context.Context) ([]Channel, error) {
	var page Page[Channel]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/channels", answer: &page})
	return page.Items, err
}
