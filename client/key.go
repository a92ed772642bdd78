package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/carillon-dev/carillon"
)

// NewKey is a key to be made.
type NewKey struct {
	Name string        `json:"name"`
	Role carillon.Role `json:"role"`
	// Sources are those whose events it may publish: required for a publisher,
	// and for an admin with a scope, none means all.
	Sources []string `json:"sources,omitempty"`
	// Scope is what the key is limited to, whatever its role: for each key, the
	// values that events, subscriptions and sources may have.
	Scope map[string][]string `json:"scope,omitempty"`
	// RateLimit stands for the one of the configuration; zero for that one. A
	// Burst of zero is twice PerSecond.
	RateLimit RateLimit `json:"rate_limit,omitzero"`
	// ExpiresAt is when it ends; never when zero.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// RateLimit is how many requests a key may make.
type RateLimit struct {
	PerSecond float64 `json:"per_second"`
	// Burst is how many may come at once after a pause.
	Burst int `json:"burst,omitzero"`
}

// Key is a key as far as it can be shown.
type Key struct {
	ID      string              `json:"id"`
	Name    string              `json:"name"`
	Role    carillon.Role       `json:"role"`
	Sources []string            `json:"sources"`
	Scope   map[string][]string `json:"scope"`
	// RateLimit is zero where the one of the configuration applies.
	RateLimit RateLimit         `json:"rate_limit"`
	State     carillon.KeyState `json:"state"`
	// CreatedBy is "admin" or the id of a key.
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt, RevokedAt and LastUsedAt are zero where there is none; the last
	// is right to about a minute.
	ExpiresAt  time.Time `json:"expires_at"`
	RevokedAt  time.Time `json:"revoked_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	// Secret is what its holder gives to [New]; only in the answer to
	// [Client.CreateKey].
	Secret string `json:"key"`
}

// Keys lists keys in the order of their creation, expired and revoked ones
// too. limit is 1 to 250, and 50 when zero; cursor is empty for the first
// page.
func (c *Client) Keys(ctx context.Context, limit int, cursor string) (Page[Key], error) {
	query := url.Values{}
	setPage(query, time.Time{}, time.Time{}, limit, cursor)
	var page Page[Key]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/keys", query: query, answer: &page})
	return page, err
}

// Key returns one key.
func (c *Client) Key(ctx context.Context, id string) (Key, error) {
	var key Key
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1" + segments("keys", id), answer: &key})
	return key, err
}

// CreateKey makes a key. Its Secret is in this answer only.
func (c *Client) CreateKey(ctx context.Context, key NewKey) (Key, error) {
	var created Key
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/keys", body: key, answer: &created})
	return created, err
}

// RevokeKey ends a key for good. Other processes of Carillon than the one that
// answers know within seconds.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1" + segments("keys", id)})
	return err
}

// AuditEntry is one change.
type AuditEntry struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Actor is who did it: "admin", the id of a key, or a run's workflow id;
	// ActorName is the key's name.
	Actor     string `json:"actor"`
	ActorName string `json:"actor_name"`
	// Action is what was done, such as "subscription.updated".
	Action string `json:"action"`
	// Object is the id of what it was done to.
	Object string `json:"object"`
	Detail string `json:"detail"`
	// Before and After are the object, without secrets; nil where there was
	// none.
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// AuditFilter chooses audit entries. A zero field chooses nothing away.
type AuditFilter struct {
	Object string
	Actor  string
	Action string
	// Since is inclusive, Until exclusive.
	Since time.Time
	Until time.Time
	// Limit is 1 to 250; 50 when zero.
	Limit  int
	Cursor string
}

// Audit lists who changed what, newest first.
func (c *Client) Audit(ctx context.Context, f AuditFilter) (Page[AuditEntry], error) {
	query := url.Values{}
	set(query, "object", f.Object)
	set(query, "actor", f.Actor)
	set(query, "action", f.Action)
	setPage(query, f.Since, f.Until, f.Limit, f.Cursor)
	var page Page[AuditEntry]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/audit", query: query, answer: &page})
	return page, err
}
