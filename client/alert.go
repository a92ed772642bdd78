package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Alert is a message in an inbox.
type Alert struct {
	ID           string    `json:"id"`
	Owner        string    `json:"owner"`
	Event        string    `json:"event"`
	EventType    string    `json:"event_type"`
	Subscription string    `json:"subscription"`
	Level        string    `json:"level"`
	Title        string    `json:"title"`
	Text         string    `json:"text"`
	Link         string    `json:"link"`
	At           time.Time `json:"at"`
	// ReadAt is nil while it is unread.
	ReadAt *time.Time `json:"read_at"`
}

// AlertCount counts an inbox.
type AlertCount struct {
	Total  int `json:"total"`
	Unread int `json:"unread"`
}

// Alerts returns a page of an inbox, newest first; owner "" is the system's.
// cursor is that of the page before.
func (c *Client) Alerts(ctx context.Context, owner, cursor string) (page Page[Alert], err error) {
	query := url.Values{}
	for name, value := range map[string]string{"owner": owner, "cursor": cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	_, err = c.do(ctx, request{method: http.MethodGet, path: "/v1/alerts", query: query, answer: &page})
	return page, err
}

// CountAlerts counts an inbox.
func (c *Client) CountAlerts(ctx context.Context, owner string) (count AlertCount, err error) {
	query := url.Values{}
	if owner != "" {
		query.Set("owner", owner)
	}
	_, err = c.do(ctx, request{method: http.MethodGet, path: "/v1/alerts/count", query: query, answer: &count})
	return count, err
}

// alertChoice names alerts: ids, or all.
type alertChoice struct {
	Owner string   `json:"owner,omitempty"`
	IDs   []string `json:"ids,omitempty"`
	All   bool     `json:"all,omitempty"`
}

// ReadAlerts marks alerts of an inbox as read, all without ids, and returns how
// many were unread.
func (c *Client) ReadAlerts(ctx context.Context, owner string, ids ...string) (int, error) {
	return c.changeAlerts(ctx, "/v1/alerts/read", owner, ids)
}

// DeleteAlerts removes alerts from an inbox, all without ids, and returns how
// many.
func (c *Client) DeleteAlerts(ctx context.Context, owner string, ids ...string) (int, error) {
	return c.changeAlerts(ctx, "/v1/alerts/delete", owner, ids)
}

func (c *Client) changeAlerts(ctx context.Context, path, owner string, ids []string) (int, error) {
	var out struct {
		Changed int `json:"changed"`
	}
	_, err := c.do(ctx, request{
		method: http.MethodPost, path: path, body: alertChoice{Owner: owner, IDs: ids, All: len(ids) == 0}, answer: &out,
	})
	return out.Changed, err
}
