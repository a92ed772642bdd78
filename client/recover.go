package client

import (
	"context"
	"net/http"
	"time"

	"github.com/carillon-dev/carillon"
)

// Enable makes a subscription take deliveries again; what it held is delivered.
func (c *Client) Enable(ctx context.Context, id string) (Subscription, error) {
	return c.setState(ctx, id, "enable")
}

// Pause makes a subscription hold what matches.
func (c *Client) Pause(ctx context.Context, id string) (Subscription, error) {
	return c.setState(ctx, id, "pause")
}

// Disable is [Client.Pause], shown as disabled.
func (c *Client) Disable(ctx context.Context, id string) (Subscription, error) {
	return c.setState(ctx, id, "disable")
}

func (c *Client) setState(ctx context.Context, id, action string) (Subscription, error) {
	return c.subscription(ctx, request{method: http.MethodPost, path: "/v1" + segments("subscriptions", id, action)})
}

// Recover chooses deliveries of a subscription to be delivered once more.
type Recover struct {
	// States are held, failed or both; held when empty.
	States []carillon.DeliveryState `json:"states,omitempty"`
	// Since is inclusive, Until exclusive; both mean when Carillon received it.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Rate is in deliveries a second; 0 is no limit.
	Rate float64 `json:"rate,omitempty"`
	// DryRun only counts.
	DryRun bool `json:"dry_run,omitempty"`
}

// Recovered is the answer to [Client.Recover].
type Recovered struct {
	// Matched counts the deliveries that the request chose.
	Matched int  `json:"matched"`
	DryRun  bool `json:"dry_run"`
	// Run is zero in a dry run.
	Run Run `json:"run"`
}

// Recovery is where a recovery stands.
type Recovery struct {
	Running   bool `json:"running"`
	Left      int  `json:"left"`
	Succeeded int  `json:"succeeded"`
	Failed    int  `json:"failed"`
	// Failures counts the probes in a row that failed, InFlight the deliveries
	// that are tried now.
	Failures int `json:"failures"`
	InFlight int `json:"in_flight"`
	// HandedOver counts what the subscription's batches deliver.
	HandedOver int       `json:"handed_over"`
	NextAt     time.Time `json:"next_at"`
	Run        Run       `json:"run"`
}

// Recover delivers what is held or failed.
func (c *Client) Recover(ctx context.Context, subscription string, r Recover) (Recovered, error) {
	var out Recovered
	path := "/v1" + segments("subscriptions", subscription, "recover")
	_, err := c.do(ctx, request{method: http.MethodPost, path: path, body: r, answer: &out})
	return out, err
}

// Recovery returns where a subscription's recovery stands.
func (c *Client) Recovery(ctx context.Context, subscription string) (Recovery, error) {
	var out Recovery
	path := "/v1" + segments("subscriptions", subscription, "recover")
	_, err := c.do(ctx, request{method: http.MethodGet, path: path, answer: &out})
	return out, err
}

// CancelRecovery ends a recovery; what it began ends by itself.
func (c *Client) CancelRecovery(ctx context.Context, subscription string) error {
	path := "/v1" + segments("subscriptions", subscription, "recover")
	_, err := c.do(ctx, request{method: http.MethodDelete, path: path})
	return err
}

// Redeliver delivers an event once more, in a run of its own. number is one
// more than the delivery's Redeliveries were: asked for twice, it is one
// redelivery.
func (c *Client) Redeliver(ctx context.Context, event, subscription string, number int) (Accepted, error) {
	return c.redeliver(ctx, event, subscription, map[string]any{"number": number})
}

// RedeliverAsSent is [Client.Redeliver] with the very bytes of the last attempt.
// Its error is [carillon.CodeConflict] when they cannot be made any more.
func (c *Client) RedeliverAsSent(ctx context.Context, event, subscription string, number int) (Accepted, error) {
	return c.redeliver(ctx, event, subscription, map[string]any{"number": number, "render": "as_sent"})
}

func (c *Client) redeliver(ctx context.Context, event, subscription string, body map[string]any) (Accepted, error) {
	var out Accepted
	path := "/v1" + segments("events", event, "deliveries", subscription, "redeliver")
	_, err := c.do(ctx, request{method: http.MethodPost, path: path, body: body, answer: &out})
	return out, err
}
