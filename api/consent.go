package api

import (
	"context"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// consented asks the receiver for its consent where the endpoint wants that. It
// is called when all else about the subscription is right.
func (s *Server) consented(ctx context.Context, sub *carillon.Subscription) error {
	asking, ok := s.deps.Channels[sub.Channel].(channels.Consenter)
	if !ok {
		return nil
	}
	// Nothing is sent for who may not save it.
	if err := carillon.ConfinementOf(ctx).CheckAll(sub.Scope); err != nil {
		return err
	}
	endpoint, err := asking.Consent(ctx, sub.Endpoint)
	if err == nil {
		sub.Endpoint = endpoint
	}
	return err
}
