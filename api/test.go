package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// pingType is the event of a test; pingSource is where it comes from.
const (
	pingType   = "ping"
	pingSource = "carillon"
)

// attemptGrace is what a test may take beyond the endpoint's own timeout: a
// sender ends its attempt by itself, and says how.
const attemptGrace = 2 * time.Second

// testView answers a test: what was sent, and what came of it.
type testView struct {
	Event   carillon.Event   `json:"event"`
	Attempt carillon.Attempt `json:"attempt"`
}

// testSaved tries a subscription, whatever its state, and changes nothing.
func (s *Server) testSaved(c echo.Context) error {
	sub, err := s.namedSubscription(c)
	if err != nil {
		return err
	}
	return s.test(c, sub)
}

// testUnsaved tries a subscription that is posted as if to be created.
func (s *Server) testUnsaved(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	sub, _, err := s.readSubscription(c.Request().Context(), body, nil)
	if err == nil {
		err = carillon.ConfinementOf(c.Request().Context()).CheckAll(sub.Scope)
	}
	if err != nil {
		return err
	}
	if err := s.consented(c.Request().Context(), &sub); err != nil {
		return err
	}
	return s.test(c, sub)
}

// test makes one attempt with a ping.
func (s *Server) test(c echo.Context, sub carillon.Subscription) error {
	sender, ok := s.deps.Channels[sub.Channel]
	if !ok {
		return carillon.Errorf(carillon.CodeConflict, "this version has no channel %s", sub.Channel)
	}
	now := s.deps.Now().UTC().Truncate(time.Microsecond)
	event := carillon.Event{
		ID: carillon.NewID(carillon.EventPrefix, now), Type: pingType, Source: pingSource, Actor: actorOf(c), Time: now,
		Data: json.RawMessage(`{"message":"This is a test of a subscription. Nothing happened."}`),
	}
	ctx, stop := context.WithTimeout(c.Request().Context(), sender.Timeout(sub.Endpoint)+attemptGrace)
	defer stop()
	attempt := sender.Attempt(ctx, channels.Message{
		Event: event, Batch: gatheredAlone(sub, event), Endpoint: sub.Endpoint, Format: sub.Format, FormatOptions: sub.FormatOptions,
		Profile: sub.Profile, Number: 1,
	})
	attempt.EventID, attempt.SubscriptionID, attempt.Number = event.ID, sub.ID, 1
	return answer(c, http.StatusOK, testView{Event: event, Attempt: attempt})
}
