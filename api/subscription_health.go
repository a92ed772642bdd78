package api

import (
	"context"
	"time"

	"github.com/carillon-dev/carillon"
)

// healthView is how a subscription's endpoint takes attempts; read-only.
type healthView struct {
	State     carillon.HealthState `json:"state"`
	Since     *time.Time           `json:"since,omitempty"`
	Failures  int                  `json:"failures"`
	NextProbe *time.Time           `json:"next_probe,omitempty"`
}

func viewHealth(h carillon.Health) healthView {
	return healthView{
		State: h.State(), Since: someTime(h.Since()), Failures: h.Failures, NextProbe: someTime(h.ProbeAt),
	}
}

// closeBreaker gives an endpoint another chance because somebody said so, and
// returns its health as it is then.
func (s *Server) closeBreaker(ctx context.Context, sub carillon.Subscription) (carillon.Health, error) {
	if !sub.Health.Open() {
		return sub.Health, nil
	}
	if _, err := s.deps.Store.CloseBreaker(ctx, carillon.Closing{SubscriptionID: sub.ID}); err != nil {
		return sub.Health, err
	}
	return carillon.Health{}, nil
}
