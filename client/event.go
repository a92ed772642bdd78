package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
)

// NewEvent is an event to be published.
type NewEvent struct {
	// ID is the producer's own name of the event, at most 255 bytes. With it a
	// post can be repeated safely: Carillon's id is made of Source and ID.
	ID string `json:"id,omitempty"`
	// Type is one of the catalog, such as "package.added". Required.
	Type string `json:"type"`
	// Source is where the event comes from. Required.
	Source  string            `json:"source"`
	Actor   string            `json:"actor,omitempty"`
	Scope   map[string]string `json:"scope,omitempty"`
	Subject string            `json:"subject,omitempty"`
	// Time is when it happened; when zero, Carillon takes the time of the post.
	Time time.Time `json:"time,omitzero"`
	// Data is anything that is a JSON object of the type's shape. Required.
	Data any `json:"data"`
}

// Run is a Temporal workflow execution.
type Run struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
	// URL opens it in Temporal Web; empty when Carillon does not know where
	// that is.
	URL string `json:"url"`
}

// Accepted says that an event is safe with Carillon.
type Accepted struct {
	ID  string `json:"id"`
	Run Run    `json:"run"`
}

// Event is a published event.
type Event struct {
	carillon.Event
	ReceivedAt      time.Time                 `json:"received_at"`
	Run             Run                       `json:"run"`
	ConditionErrors []carillon.ConditionError `json:"condition_errors"`
	// Note says why Data is null, or why there are no deliveries yet.
	Note string `json:"note"`
	// Deliveries, at most 100, and Data are not in lists.
	Deliveries []Delivery `json:"deliveries"`
	// MoreDeliveries is set when there are more; see [Client.Deliveries].
	MoreDeliveries string `json:"more_deliveries"`
}

// Delivery is one event on its way to one subscription.
type Delivery struct {
	Event         string                 `json:"event"`
	Subscription  string                 `json:"subscription"`
	EventType     string                 `json:"event_type"`
	Channel       string                 `json:"channel"`
	Host          string                 `json:"host"`
	State         carillon.DeliveryState `json:"state"`
	AttemptCount  int                    `json:"attempt_count"`
	Status        int                    `json:"status"`
	Error         string                 `json:"error"`
	DurationMS    int64                  `json:"duration_ms"`
	NextAt        time.Time              `json:"next_at"`
	FirstFailedAt time.Time              `json:"first_failed_at"`
	ReceivedAt    time.Time              `json:"received_at"`
	UpdatedAt     time.Time              `json:"updated_at"`
	// Redeliveries counts the runs after the event's own.
	Redeliveries int `json:"redeliveries"`
	Run          Run `json:"run"`
	// Attempts are in lists only when [DeliveryFilter.Expand] asks for them; nil
	// when the history cannot be read. Then Note says why.
	Attempts []carillon.Attempt `json:"attempts"`
	// Payload is there when Expand asks for it.
	Payload *Payload `json:"payload"`
	Note    string   `json:"note"`
}

// Payload is what a delivery sends.
type Payload struct {
	// Body is at most 32 KiB; Truncated says that there is more.
	Body        string `json:"body"`
	Truncated   bool   `json:"truncated"`
	Bytes       int    `json:"bytes"`
	SHA256      string `json:"sha256"`
	ContentType string `json:"content_type"`
	// Exact says that these are the bytes of the last attempt.
	Exact bool `json:"exact"`
}

// EventFilter chooses events. A zero field chooses nothing away.
type EventFilter struct {
	Type    string
	Source  string
	Subject string
	Scope   map[string]string
	// Since is inclusive, Until exclusive; both mean when Carillon received it.
	Since time.Time
	Until time.Time
	// Limit is 1 to 250; 50 when zero.
	Limit  int
	Cursor string
}

// DeliveryFilter chooses deliveries. A zero field chooses nothing away.
type DeliveryFilter struct {
	States       []carillon.DeliveryState
	Subscription string
	Event        string
	// Since is inclusive, Until exclusive; both mean when Carillon received the
	// event.
	Since time.Time
	Until time.Time
	// Expand adds the "attempts", or the "payload" and the attempts, of at most
	// 50 deliveries.
	Expand []string
	// Limit is 1 to 250; 50 when zero.
	Limit  int
	Cursor string
}

// Publish publishes an event. When the error is no [*Error], or one of
// [carillon.CodeUnavailable], it is not known whether Carillon took the event:
// with an ID it is safe to publish it again, and the event rings once.
func (c *Client) Publish(ctx context.Context, event NewEvent) (Accepted, error) {
	var accepted Accepted
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/events", body: event, answer: &accepted})
	return accepted, err
}

// PublishAll publishes at most 100 events of at most 512 KiB together, all or
// none; they share a run. Its errors are those of [Client.Publish].
func (c *Client) PublishAll(ctx context.Context, events []NewEvent) ([]Accepted, error) {
	body := struct {
		Events []NewEvent `json:"events"`
	}{events}
	var answer struct {
		Events []Accepted `json:"events"`
	}
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/events/batch", body: body, answer: &answer})
	return answer.Events, err
}

// Events lists events without their data, newest first.
func (c *Client) Events(ctx context.Context, f EventFilter) (Page[Event], error) {
	query := url.Values{}
	set(query, "type", f.Type)
	set(query, "source", f.Source)
	set(query, "subject", f.Subject)
	for key, value := range f.Scope {
		query.Add("scope", key+":"+value)
	}
	setPage(query, f.Since, f.Until, f.Limit, f.Cursor)
	var page Page[Event]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/events", query: query, answer: &page})
	return page, err
}

// Event returns one event with its data and deliveries.
func (c *Client) Event(ctx context.Context, id string) (Event, error) {
	var event Event
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1" + segments("events", id), answer: &event})
	return event, err
}

// Deliveries lists deliveries, newest first.
func (c *Client) Deliveries(ctx context.Context, f DeliveryFilter) (Page[Delivery], error) {
	query := url.Values{}
	states := make([]string, len(f.States))
	for i, state := range f.States {
		states[i] = string(state)
	}
	set(query, "state", strings.Join(states, ","))
	set(query, "subscription", f.Subscription)
	set(query, "event", f.Event)
	set(query, "expand", strings.Join(f.Expand, ","))
	setPage(query, f.Since, f.Until, f.Limit, f.Cursor)
	var page Page[Delivery]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/deliveries", query: query, answer: &page})
	return page, err
}

// Delivery returns one delivery with its attempts.
func (c *Client) Delivery(ctx context.Context, event, subscription string) (Delivery, error) {
	return c.onDelivery(ctx, http.MethodGet, event, subscription, "")
}

// RetryNow makes the next attempt of a waiting delivery now.
func (c *Client) RetryNow(ctx context.Context, event, subscription string) (Delivery, error) {
	return c.onDelivery(ctx, http.MethodPost, event, subscription, "/retry-now")
}

// CancelDelivery ends a delivery that is under way.
func (c *Client) CancelDelivery(ctx context.Context, event, subscription string) (Delivery, error) {
	return c.onDelivery(ctx, http.MethodPost, event, subscription, "/cancel")
}

func (c *Client) onDelivery(ctx context.Context, method, event, subscription, action string) (Delivery, error) {
	var d Delivery
	path := "/v1" + segments("events", event, "deliveries", subscription) + action
	_, err := c.do(ctx, request{method: method, path: path, answer: &d})
	return d, err
}

// EventType is a type of the catalog.
type EventType struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// Own says that only Carillon publishes such events.
	Own bool `json:"own"`
	// Scoped lists those of the scope keys feed, project and product that such
	// events can carry.
	Scoped []string `json:"scoped"`
	// Products is what other products call the type, by the name of the format
	// that writes it and of the kind of source that reads it.
	Products map[string]string `json:"products"`
	// Schema, the JSON Schema of the data, and Example are not in the list.
	Schema  json.RawMessage `json:"schema"`
	Example carillon.Event  `json:"example"`
}

// EventTypes lists all event types, by name.
func (c *Client) EventTypes(ctx context.Context) ([]EventType, error) {
	var page Page[EventType]
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/event-types", answer: &page})
	return page.Items, err
}

// EventType returns one event type with its schema and an example.
func (c *Client) EventType(ctx context.Context, name string) (EventType, error) {
	var t EventType
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v1" + segments("event-types", name), answer: &t})
	return t, err
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

func setPage(query url.Values, since, until time.Time, limit int, cursor string) {
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if !until.IsZero() {
		query.Set("until", until.UTC().Format(time.RFC3339Nano))
	}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	set(query, "cursor", cursor)
}
