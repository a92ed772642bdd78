package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/carillon-dev/carillon"
)

// Subscription is a standing interest in events. Fields marked read-only are
// set by Carillon, and left out of account when they are sent.
type Subscription struct {
	// ID is read-only.
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	// EventTypes are exact types, "prefix.*", or "*".
	EventTypes []string            `json:"event_types"`
	Scope      map[string][]string `json:"scope,omitempty"`
	// Condition is a CEL expression; empty matches everything.
	Condition string `json:"condition,omitempty"`
	// Match is a condition in fields, asked beside Condition.
	Match         carillon.Match `json:"match,omitzero"`
	IncludeCached bool           `json:"include_cached,omitempty"`
	// Channel is the kind of transport, such as "webhook".
	Channel string `json:"channel"`
	// Endpoint is the address in the channel's own shape, such as [Webhook].
	// In answers it is a [json.RawMessage] with the secrets masked; sent back
	// like that, they keep their values.
	Endpoint any `json:"endpoint"`
	// Format is how a payload is written; "standard" when empty.
	Format string `json:"format,omitempty"`
	// FormatOptions are what the format lets it choose, in the format's own
	// shape, such as {"mode":"binary"}; none when empty.
	FormatOptions json.RawMessage `json:"format_options,omitempty"`
	// Profile names whose behaviour it follows; "carillon" when empty.
	Profile string `json:"profile,omitempty"`
	// Batch gathers its events, many in one request; when nil the profile's, where
	// the format can.
	Batch *carillon.Batch `json:"batch,omitempty"`
	// MaxPerMinute is, of a channel that writes for people, how many messages a
	// minute are sent at most: what is beyond is summed up. 0 is the default.
	MaxPerMinute int `json:"max_per_minute,omitempty"`
	// Retry is the profile's when nil.
	Retry *carillon.Retry `json:"retry,omitempty"`
	// State can be set at creation, to enabled or paused; after that it is
	// read-only.
	State carillon.SubscriptionState `json:"state,omitempty"`
	// Health is how the endpoint takes attempts; read-only.
	Health *Health `json:"health,omitempty"`
	// EffectiveCondition is the one expression that Match and Condition make;
	// empty without Match. It is read-only, as are DisabledBy, DisabledReason,
	// CreatedAt, UpdatedAt and Warnings.
	EffectiveCondition string    `json:"effective_condition,omitempty"`
	DisabledBy         string    `json:"disabled_by,omitempty"`
	DisabledReason     string    `json:"disabled_reason,omitempty"`
	CreatedAt          time.Time `json:"created_at,omitzero"`
	UpdatedAt          time.Time `json:"updated_at,omitzero"`
	// Warnings say what is allowed but can hardly be meant; in the answers to
	// changes only.
	Warnings []carillon.Problem `json:"warnings,omitempty"`
	// ETag is the version, and read-only. A change of a subscription that has
	// one applies to that version only; clear it to change whatever is there.
	ETag string `json:"-"`
}

// Health is how a subscription's endpoint takes attempts.
type Health struct {
	State carillon.HealthState `json:"state"`
	// Since is when the state began; zero when it is ok.
	Since time.Time `json:"since,omitzero"`
	// Failures counts the attempts in a row that failed.
	Failures int `json:"failures"`
	// NextProbe is when an open breaker's next probe is due.
	NextProbe time.Time `json:"next_probe,omitzero"`
}

// UnmarshalJSON reads an answer, with the Endpoint as a [json.RawMessage].
func (s *Subscription) UnmarshalJSON(text []byte) error {
	type plain Subscription
	endpoint := json.RawMessage{}
	s.Endpoint = &endpoint
	err := json.Unmarshal(text, (*plain)(s))
	s.Endpoint = endpoint
	return err
}

// Webhook is the endpoint of the channel "webhook".
type Webhook struct {
	URL string `json:"url"`
	// Method is POST when empty.
	Method  string            `json:"method,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// Secret signs the payloads (whsec_…, or whsk_… of a key pair); one is made
	// when it is empty.
	Secret string `json:"secret,omitempty"`
	// PreviousSecrets sign as well, while receivers change over.
	PreviousSecrets []PreviousSecret `json:"previous_secrets,omitempty"`
	// BasicAuth and BearerToken exclude each other.
	BasicAuth   *BasicAuth `json:"basic_auth,omitempty"`
	BearerToken string     `json:"bearer_token,omitempty"`
	// Token goes into the header that the format has for one, such as
	// CodeScoring's X-CodeScoring-Authentication.
	Token string `json:"token,omitempty"`
	// Timeout is how long an attempt may take; 15 s when zero.
	Timeout carillon.Duration `json:"timeout,omitzero"`
}

// PreviousSecret signs until it expires; the zero time is never.
type PreviousSecret struct {
	Secret    string    `json:"secret"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// BasicAuth is a user name and a password.
type BasicAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Secret returns the endpoint's signing secret as far as this answer shows it:
// whole in the answer that it was made for, masked in every other.
func (s Subscription) Secret() string {
	raw, _ := s.Endpoint.(json.RawMessage)
	var endpoint struct {
		Secret string `json:"secret"`
	}
	_ = json.Unmarshal(raw, &endpoint) // an endpoint without a secret has none
	return endpoint.Secret
}

// Test is what came of a test: the ping that was sent, and the one attempt.
type Test struct {
	Event   carillon.Event   `json:"event"`
	Attempt carillon.Attempt `json:"attempt"`
}

// Subscriptions lists subscriptions in the order of their creation. limit is 1
// to 250, and 50 when zero; cursor is empty for the first page.
func (c *Client) Subscriptions(ctx context.Context, limit int, cursor string) (Page[Subscription], error) {
	query := url.Values{}
	setPage(query, time.Time{}, time.Time{}, limit, cursor)
	var page Page[Subscription]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/subscriptions", query: query, answer: &page})
	return page, err
}

// Subscription returns one subscription.
func (c *Client) Subscription(ctx context.Context, id string) (Subscription, error) {
	return c.subscription(ctx, request{method: http.MethodGet, path: "/v1" + segments("subscriptions", id)})
}

// CreateSubscription creates a subscription. A secret that Carillon made is in
// the answer's Endpoint, this once.
func (c *Client) CreateSubscription(ctx context.Context, sub Subscription) (Subscription, error) {
	return c.subscription(ctx, request{method: http.MethodPost, path: "/v1/subscriptions", body: sub})
}

// ReplaceSubscription replaces the subscription that has the ID. Its error is
// [carillon.CodeStale] when the ETag is not the current one.
func (c *Client) ReplaceSubscription(ctx context.Context, sub Subscription) (Subscription, error) {
	return c.subscription(ctx, request{
		method: http.MethodPut, path: "/v1" + segments("subscriptions", sub.ID), body: sub, ifMatch: sub.ETag,
	})
}

// ChangeSubscription changes some fields: patch is a JSON Merge Patch (RFC
// 7396), such as map[string]any{"condition": "data.score > 7"}. An empty etag
// changes whatever version is there.
func (c *Client) ChangeSubscription(ctx context.Context, id, etag string, patch any) (Subscription, error) {
	return c.subscription(ctx, request{
		method: http.MethodPatch, path: "/v1" + segments("subscriptions", id), body: patch, ifMatch: etag,
	})
}

// DeleteSubscription deletes a subscription; its deliveries that are under way
// or held are canceled. An empty etag deletes whatever version is there.
func (c *Client) DeleteSubscription(ctx context.Context, id, etag string) error {
	_, err := c.do(ctx, request{
		method: http.MethodDelete, path: "/v1" + segments("subscriptions", id), ifMatch: etag,
	})
	return err
}

// TestSubscription sends a ping to a subscription, whatever its state.
func (c *Client) TestSubscription(ctx context.Context, id string) (Test, error) {
	var t Test
	_, err := c.do(ctx, request{
		method: http.MethodPost, path: "/v1" + segments("subscriptions", id, "test"), answer: &t,
	})
	return t, err
}

// Test sends a ping to a subscription that is not saved.
func (c *Client) Test(ctx context.Context, sub Subscription) (Test, error) {
	var t Test
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/subscriptions/test", body: sub, answer: &t})
	return t, err
}

func (c *Client) subscription(ctx context.Context, r request) (Subscription, error) {
	var sub Subscription
	r.answer = &sub
	header, err := c.do(ctx, r)
	if err != nil {
		return Subscription{}, err
	}
	sub.ETag = header.Get("ETag")
	return sub, nil
}

// Profiles lists the profiles, whose behaviour subscriptions can follow.
func (c *Client) Profiles(ctx context.Context) ([]carillon.Profile, error) {
	var page Page[carillon.Profile]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/profiles", answer: &page})
	return page.Items, err
}
