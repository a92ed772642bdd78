package client

import (
	"context"
	"net/http"

	"github.com/carillon-dev/carillon"
)

// Rotation says how a signing secret is replaced. The zero value makes a new
// one of the same kind, with an overlap of 24 h.
type Rotation struct {
	// Secret is the new secret (whsec_… or whsk_…); one is made when it is empty.
	Secret string `json:"secret,omitempty"`
	// Overlap is how long the old secret signs as well, at most 30 days; 24 h
	// when nil. After it, the new secret signs alone.
	Overlap *carillon.Duration `json:"overlap,omitempty"`
}

// RotateSecret replaces the signing secret of a subscription. One that Carillon
// made is in the answer's Endpoint, this once. An empty etag changes whatever
// version is there.
func (c *Client) RotateSecret(ctx context.Context, id, etag string, r Rotation) (Subscription, error) {
	return c.subscription(ctx, request{
		method: http.MethodPost, path: "/v1" + segments("subscriptions", id, "rotate-secret"), body: r, ifMatch: etag,
	})
}
