package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// face is another product's own API for webhooks, as a view of the
// subscriptions in that product's format: the same objects, rights and audit,
// in the shapes that its clients know.
type face struct {
	// product names it, and the format and the numbers of its subscriptions.
	product string
	// prefix begins its paths.
	prefix string
	// secret finds the key in a request; empty when there is none.
	secret func(c echo.Context) string
	// fail answers a problem as the product would.
	fail func(c echo.Context, p problem) error
	// shown says which subscriptions are its own; nil for the webhooks in its
	// product's format.
	shown func(sub carillon.Subscription) bool
}

// faces are all there are. Their paths are no part of /v1, which is why a
// request's path tells them.
var faces = []*face{&codeScoringFace, &proGetFace}

// faceOf returns the face that a request is for; nil for Carillon's own API.
func faceOf(c echo.Context) *face {
	for _, f := range faces {
		if strings.HasPrefix(c.Request().URL.Path, f.prefix) {
			return f
		}
	}
	return nil
}

// authorization returns the key of an Authorization header with one of the schemes.
func authorization(c echo.Context, schemes ...string) string {
	scheme, secret, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	if !slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, scheme) }) {
		return ""
	}
	return strings.TrimSpace(secret)
}

// faceStore keeps the numbers that faces know subscriptions by.
type faceStore interface {
	// FaceNumbers returns the numbers of the subscriptions, and makes those that
	// are missing.
	FaceNumbers(ctx context.Context, face string, subscriptions []string) (map[string]int64, error)
	FaceSubscription(ctx context.Context, face string, number int64) (string, error)
}

// numbered is a subscription as a face knows it.
type numbered struct {
	carillon.Subscription
	number int64
}

// shows reports whether a subscription is one of the face's, however it was made.
func (f *face) shows(sub carillon.Subscription) bool {
	if f.shown != nil {
		return f.shown(sub)
	}
	return sub.Channel == webhookChannel && sub.Format == f.product
}

// numberedSubscriptions returns all subscriptions of a face in the order of
// their numbers.
func (s *Server) numberedSubscriptions(ctx context.Context, f *face) ([]numbered, error) {
	var subs []numbered
	var ids []string
	for after := ""; ; {
		some, err := s.deps.Store.ListSubscriptions(ctx, after, maxLimit)
		if err != nil {
			return nil, err
		}
		for _, sub := range some {
			if f.shows(sub) {
				subs, ids = append(subs, numbered{Subscription: sub}), append(ids, sub.ID)
			}
		}
		if len(some) < maxLimit {
			break
		}
		after = some[len(some)-1].ID
	}
	if len(subs) == 0 {
		return nil, nil
	}
	numbers, err := s.deps.Store.FaceNumbers(ctx, f.product, ids)
	if err != nil {
		return nil, err
	}
	for i := range subs {
		subs[i].number = numbers[subs[i].ID]
	}
	slices.SortFunc(subs, func(a, b numbered) int { return int(a.number - b.number) })
	return subs, nil
}

// numberedSubscription returns the subscription that a face knows by the number.
func (s *Server) numberedSubscription(ctx context.Context, f *face, number int64) (numbered, error) {
	id, err := s.deps.Store.FaceSubscription(ctx, f.product, number)
	if carillon.CodeOf(err) == carillon.CodeNotFound {
		return numbered{}, noWebhook(number)
	}
	if err != nil {
		return numbered{}, err
	}
	sub, err := s.deps.Store.Subscription(ctx, id)
	if err != nil && carillon.CodeOf(err) != carillon.CodeNotFound {
		return numbered{}, err
	}
	if err != nil || !f.shows(sub) {
		return numbered{}, noWebhook(number)
	}
	return numbered{sub, number}, nil
}

// noWebhook is the same for a number that nothing has, and for one whose
// subscription is deleted, another product's, or outside the caller's scope.
func noWebhook(number int64) error {
	return carillon.Errorf(carillon.CodeNotFound, "there is no webhook %d", number)
}

// createNumbered creates a subscription out of a body for /v1/subscriptions.
func (s *Server) createNumbered(c echo.Context, f *face, body json.RawMessage) (numbered, error) {
	sub, _, err := s.readSubscription(c.Request().Context(), body, nil)
	if err != nil {
		return numbered{}, err
	}
	if err := s.consented(c.Request().Context(), &sub); err != nil {
		return numbered{}, err
	}
	ctx, now := c.Request().Context(), s.deps.Now().UTC().Truncate(time.Microsecond)
	sub.ID, sub.CreatedAt, sub.UpdatedAt = carillon.NewID(carillon.SubscriptionPrefix, now), now, now
	if sub, err = s.deps.Store.CreateSubscription(ctx, sub, actorOf(c)); err != nil {
		return numbered{}, err
	}
	numbers, err := s.deps.Store.FaceNumbers(ctx, f.product, []string{sub.ID})
	if err != nil {
		return numbered{}, err
	}
	return numbered{sub, numbers[sub.ID]}, nil
}

// updateNumbered merges what change makes of one of a face's subscriptions, a
// patch of a /v1 subscription, into it. What the face does not know stays as it
// is.
func (s *Server) updateNumbered(c echo.Context, f *face, number int64,
	change func(current carillon.Subscription) (json.RawMessage, error),
) (numbered, error) {
	for try := 1; ; try++ {
		current, err := s.numberedSubscription(c.Request().Context(), f, number)
		if err != nil {
			return numbered{}, err
		}
		patch, err := change(current.Subscription)
		if err != nil {
			return numbered{}, err
		}
		body, err := applyPatch(s.viewSubscription(current.Subscription), patch)
		if err != nil {
			return numbered{}, err
		}
		sub, _, err := s.readSubscription(c.Request().Context(), body, &current.Subscription)
		if err != nil {
			return numbered{}, err
		}
		if err := s.consented(c.Request().Context(), &sub); err != nil {
			return numbered{}, err
		}
		sub.UpdatedAt = s.deps.Now().UTC().Truncate(time.Microsecond)
		sub, err = s.deps.Store.UpdateSubscription(c.Request().Context(), sub, current.Version, actorOf(c))
		if carillon.CodeOf(err) == carillon.CodeStale && try < updateTries {
			continue
		}
		return numbered{sub, number}, err
	}
}

func (s *Server) deleteNumbered(c echo.Context, f *face, number int64) error {
	ctx := c.Request().Context()
	sub, err := s.numberedSubscription(ctx, f, number)
	if err != nil {
		return err
	}
	return s.deps.Store.DeleteSubscription(ctx, sub.ID, 0, actorOf(c), s.deps.Now().UTC())
}

// enableNumbered enables a subscription of a face, and delivers what it held.
func (s *Server) enableNumbered(c echo.Context, f *face, number int64) (numbered, error) {
	for try := 1; ; try++ {
		ctx := c.Request().Context()
		sub, err := s.numberedSubscription(ctx, f, number)
		if err != nil {
			return numbered{}, err
		}
		if sub.State != carillon.Enabled {
			sub.State, sub.UpdatedAt = carillon.Enabled, s.deps.Now().UTC().Truncate(time.Microsecond)
			sub.Subscription, err = s.deps.Store.UpdateSubscription(ctx, sub.Subscription, sub.Version, actorOf(c))
		}
		if carillon.CodeOf(err) == carillon.CodeStale && try < updateTries {
			continue
		}
		if err == nil {
			err = s.recoverHeld(c, sub.Subscription)
		}
		return sub, err
	}
}

// probe makes one attempt of a subscription with an event that says nothing.
func (s *Server) probe(c echo.Context, sub carillon.Subscription) (carillon.Attempt, error) {
	sender, ok := s.deps.Channels[sub.Channel]
	if !ok {
		return carillon.Attempt{}, carillon.Errorf(carillon.CodeConflict, "this version has no channel %s", sub.Channel)
	}
	now := s.deps.Now().UTC().Truncate(time.Microsecond)
	ctx, stop := context.WithTimeout(c.Request().Context(), sender.Timeout(sub.Endpoint)+attemptGrace)
	defer stop()
	event := carillon.Event{
		ID: carillon.NewID(carillon.EventPrefix, now), Type: pingType, Source: pingSource, Actor: actorOf(c), Time: now,
		Data: json.RawMessage(`{}`),
	}
	return sender.Attempt(ctx, channels.Message{
		Event: event, Batch: gatheredAlone(sub, event), Endpoint: sub.Endpoint, Format: sub.Format, FormatOptions: sub.FormatOptions, Profile: sub.Profile, Number: 1,
	}), nil
}

// plain answers a text.
func plain(c echo.Context, status int, text string) error {
	h := c.Response().Header()
	h.Set(echo.HeaderXContentTypeOptions, "nosniff")
	h.Set(echo.HeaderCacheControl, "no-store")
	return c.Blob(status, "text/plain; charset=utf-8", []byte(text))
}

// noContent answers without a body.
func noContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
