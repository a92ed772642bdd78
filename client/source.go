package client

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Source is where events come from in a registry's own format. Fields marked
// read-only are set by Carillon, and left out of account when they are sent.
type Source struct {
	// ID is read-only.
	ID string `json:"id,omitempty"`
	// Name is part of the address that the registry posts to, and the Source of
	// its events.
	Name string `json:"name"`
	// Kind is the registry's format, such as "distribution"; it cannot change.
	Kind  string            `json:"kind"`
	Scope map[string]string `json:"scope,omitempty"`
	// Authentication is how the registry's requests prove where they come from;
	// nil when they carry an API key.
	Authentication *SourceAuthentication `json:"authentication,omitempty"`
	// CreatedAt and UpdatedAt are read-only.
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	// ETag is the version, and read-only. A change of a source that has one
	// applies to that version only; clear it to change whatever is there.
	ETag string `json:"-"`
}

// SourceAuthentication is how requests to a source prove where they come from.
// It never prints itself.
type SourceAuthentication struct {
	// Scheme is token, bearer, basic, hmac-sha256, hmac-sha1 or
	// standard-webhooks.
	Scheme string `json:"scheme,omitempty"`
	// Header is where a token or an HMAC is.
	Header string `json:"header,omitempty"`
	// Username goes with basic.
	Username string `json:"username,omitempty"`
	// Secret and PreviousSecret, which is accepted as well, are answered as
	// masks; a mask that is sent back keeps the secret.
	Secret         string `json:"secret,omitempty"`
	PreviousSecret string `json:"previous_secret,omitempty"`
	// Unreadable is read-only: it is sealed with a key that Carillon does not
	// have.
	Unreadable bool `json:"unreadable,omitempty"`
}

// String says nothing of the content.
func (SourceAuthentication) String() string { return "[authentication]" }

// GoString says nothing of the content.
func (SourceAuthentication) GoString() string { return "[authentication]" }

// LogValue says nothing of the content.
func (SourceAuthentication) LogValue() slog.Value { return slog.StringValue("[authentication]") }

// Sources lists all sources, by name.
func (c *Client) Sources(ctx context.Context) ([]Source, error) {
	var page Page[Source]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/sources", answer: &page})
	return page.Items, err
}

// Source returns one source.
func (c *Client) Source(ctx context.Context, name string) (Source, error) {
	return c.source(ctx, request{method: http.MethodGet, path: "/v1" + segments("sources", name)})
}

// CreateSource creates a source.
func (c *Client) CreateSource(ctx context.Context, src Source) (Source, error) {
	return c.source(ctx, request{method: http.MethodPost, path: "/v1/sources", body: src})
}

// ReplaceSource replaces the source of the name; src.Name is its name from
// then on. Its error is [carillon.CodeStale] when the ETag is not the current
// one.
func (c *Client) ReplaceSource(ctx context.Context, name string, src Source) (Source, error) {
	return c.source(ctx, request{
		method: http.MethodPut, path: "/v1" + segments("sources", name), body: src, ifMatch: src.ETag,
	})
}

// DeleteSource deletes a source. An empty etag deletes whatever version is
// there.
func (c *Client) DeleteSource(ctx context.Context, name, etag string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1" + segments("sources", name), ifMatch: etag})
	return err
}

// PublishUpstream sends what a registry would send to the source; body is
// anything that is JSON. It returns the events that it made, in order.
func (c *Client) PublishUpstream(ctx context.Context, source string, body any) ([]Accepted, error) {
	var answer struct {
		Events []Accepted `json:"events"`
	}
	_, err := c.do(ctx, request{
		method: http.MethodPost, path: "/v1" + segments("sources", source, "events"), body: body, answer: &answer,
	})
	return answer.Events, err
}

func (c *Client) source(ctx context.Context, r request) (Source, error) {
	var src Source
	r.answer = &src
	header, err := c.do(ctx, r)
	if err != nil {
		return Source{}, err
	}
	src.ETag = header.Get("ETag")
	return src, nil
}
