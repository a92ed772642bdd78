package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// SetForAll sets what a channel's subscriptions leave to the installation, such
// as a mail server: its shared fields, see [Client.Channels]. It returns them as
// they are kept, their secrets masked.
func (c *Client) SetForAll(ctx context.Context, channel string, value any) (json.RawMessage, error) {
	var out struct {
		Value json.RawMessage `json:"value"`
	}
	_, err := c.do(ctx, request{method: http.MethodPut, path: "/v1/settings/" + url.PathEscape(channel), body: value, answer: &out})
	return out.Value, err
}

// UnsetForAll removes what was set.
func (c *Client) UnsetForAll(ctx context.Context, channel string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1/settings/" + url.PathEscape(channel)})
	return err
}
