package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// Limits of a rotation. Longer than a month nobody remembers that an old
// secret still signs.
const (
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 30 * 24 * time.Hour
	maxSecretBytes = 4096
)

// rotator is a channel whose endpoints have a signing secret.
type rotator interface {
	// Rotate replaces the secret of a stored endpoint, by one that it makes when
	// none is given; the old one signs as well for the overlap. It returns the
	// endpoint to keep and the secret that it made, by field name, to be shown
	// this once. What is wrong with the secret has the pointer "/secret".
	Rotate(stored carillon.Endpoint, secret string, overlap time.Duration) (
		kept carillon.Endpoint, shown map[string]string, err error)
}

// rotateSecret replaces the signing secret of a subscription, whatever its
// state. As any change, it applies to the version it was worked out from.
func (s *Server) rotateSecret(c echo.Context) error {
	body := json.RawMessage(`{}`)
	if c.Request().ContentLength != 0 {
		var err error
		if body, err = readBody(c, maxConfigBytes, onlyJSON); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		sub, err := s.namedSubscription(c)
		if err != nil {
			return err
		}
		channel, ok := s.deps.Channels[sub.Channel].(rotator)
		if !ok {
			return carillon.Errorf(carillon.CodeConflict, "the channel %s has no signing secret to rotate", sub.Channel)
		}
		r := carillon.Rotation{
			SubscriptionID: sub.ID, IfVersion: sub.Version, Actor: actorOf(c), Now: s.deps.Now().UTC().Truncate(time.Microsecond),
		}
		f := readFields("", body)
		r.Overlap = readOverlap(f)
		var shown map[string]string
		r.Endpoint, shown, err = channel.Rotate(sub.Endpoint, f.text("secret", maxSecretBytes), r.Overlap)
		if err := f.include("secret", err); err != nil {
			return err
		}
		if err := f.done(); err != nil {
			return err
		}
		sub, err = s.deps.Store.RotateSecret(c.Request().Context(), r)
		if carillon.CodeOf(err) == carillon.CodeStale && !conditional(c) && try < updateTries {
			continue
		}
		if err != nil {
			return err
		}
		return s.saved(c, http.StatusOK, sub, shown)
	}
}

func readOverlap(f *fields) time.Duration {
	overlap := carillon.Duration(defaultOverlap)
	if !f.has("overlap") {
		f.raw("overlap")
		return defaultOverlap
	}
	var text string
	if json.Unmarshal(f.raw("overlap"), &text) != nil || overlap.UnmarshalText([]byte(text)) != nil {
		f.wrong("overlap", `must be a duration such as "24h"`)
	} else if d := time.Duration(overlap); d < 0 || d > maxOverlap {
		f.wrong("overlap", "must be 0s to %s", carillon.Duration(maxOverlap))
	}
	return time.Duration(overlap)
}
