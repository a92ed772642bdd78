package api

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// subscriptionView is a subscription as it is answered, and, but for what is
// read-only, as it is posted.
type subscriptionView struct {
	ID            string              `json:"id"`
	Name          string              `json:"name"`
	EventTypes    []string            `json:"event_types"`
	Scope         map[string][]string `json:"scope"`
	Condition     string              `json:"condition"`
	Match         carillon.Match      `json:"match,omitzero"`
	IncludeCached bool                `json:"include_cached"`
	Channel       string              `json:"channel"`
	Endpoint      json.RawMessage     `json:"endpoint"`
	Format        string              `json:"format"`
	FormatOptions json.RawMessage     `json:"format_options,omitempty"`
	Profile       string              `json:"profile"`
	Batch         carillon.Batch      `json:"batch,omitzero"`
	// MaxPerMinute is of channels that write for people.
	MaxPerMinute int                        `json:"max_per_minute,omitempty"`
	Retry        carillon.Retry             `json:"retry"`
	State        carillon.SubscriptionState `json:"state"`
	Health       healthView                 `json:"health"`
	// EffectiveCondition is what Match and Condition make together; absent where
	// it is the condition alone.
	EffectiveCondition string    `json:"effective_condition,omitempty"`
	DisabledBy         string    `json:"disabled_by,omitempty"`
	DisabledReason     string    `json:"disabled_reason,omitempty"`
	CreatedAt          time.Time `json:"created_at"`
	UpdatedAt          time.Time `json:"updated_at"`
}

// savedView answers a change: the subscription, secrets that were made by it,
// shown this once, and what is allowed but hardly meant.
type savedView struct {
	subscriptionView
	Warnings []carillon.Problem `json:"warnings,omitempty"`
}

func (s *Server) viewSubscription(sub carillon.Subscription) subscriptionView {
	v := subscriptionView{
		ID: sub.ID, Name: sub.Name, EventTypes: sub.EventTypes, Scope: sub.Scope, Condition: sub.Condition,
		IncludeCached: sub.IncludeCached, Channel: sub.Channel, Endpoint: json.RawMessage(`{}`), Format: sub.Format,
		FormatOptions: sub.FormatOptions, Match: sub.Match, Profile: cmp.Or(sub.Profile, carillon.DefaultProfile), Batch: sub.Batch, MaxPerMinute: sub.MaxPerMinute,
		Retry: sub.Retry, State: sub.State, DisabledBy: sub.DisabledBy, DisabledReason: sub.DisabledReason,
		Health:    viewHealth(sub.Health),
		CreatedAt: sub.CreatedAt.UTC(), UpdatedAt: sub.UpdatedAt.UTC(),
	}
	if !sub.Match.IsZero() {
		v.EffectiveCondition = conditions.Effective(sub.Match, sub.Condition)
	}
	if v.Scope == nil {
		v.Scope = map[string][]string{}
	}
	if v.Retry.Schedule == nil {
		v.Retry.Schedule = []carillon.Duration{}
	}
	if sender, ok := s.deps.Channels[sub.Channel]; ok {
		v.Endpoint = sender.Redact(sub.Endpoint)
	}
	return v
}

// reveal puts the secrets that were made into the endpoint that is answered.
func reveal(endpoint json.RawMessage, shown map[string]string) (json.RawMessage, error) {
	if len(shown) == 0 {
		return endpoint, nil
	}
	var fields map[string]any
	if err := json.Unmarshal(endpoint, &fields); err != nil {
		return nil, err
	}
	for name, secret := range shown {
		fields[name] = secret
	}
	return json.Marshal(fields)
}

func (s *Server) listSubscriptions(c echo.Context) error {
	return listByID(c, s.deps.Store.ListSubscriptions, s.viewSubscription, func(last carillon.Subscription) string {
		return cursor(last.CreatedAt, last.ID)
	})
}

// namedSubscription reads the subscription that the path names, and checks
// If-Match against it.
func (s *Server) namedSubscription(c echo.Context) (carillon.Subscription, error) {
	id, err := param(c, "id")
	if err != nil {
		return carillon.Subscription{}, err
	}
	if err := readQuery(c).done(); err != nil {
		return carillon.Subscription{}, err
	}
	sub, err := s.deps.Store.Subscription(c.Request().Context(), id)
	if err != nil {
		return carillon.Subscription{}, err
	}
	return sub, precondition(c, sub.Version)
}

func (s *Server) subscription(c echo.Context) error {
	sub, err := s.namedSubscription(c)
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", etag(sub.Version))
	return answer(c, http.StatusOK, s.viewSubscription(sub))
}

func (s *Server) createSubscription(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	sub, shown, err := s.readSubscription(c.Request().Context(), body, nil)
	if err != nil {
		return err
	}
	if err := s.consented(c.Request().Context(), &sub); err != nil {
		return err
	}
	now := s.deps.Now().UTC().Truncate(time.Microsecond)
	sub.ID, sub.CreatedAt, sub.UpdatedAt = carillon.NewID(carillon.SubscriptionPrefix, now), now, now
	sub, err = s.deps.Store.CreateSubscription(c.Request().Context(), sub, actorOf(c))
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/subscriptions/"+sub.ID)
	return s.saved(c, http.StatusCreated, sub, shown)
}

func (s *Server) saved(c echo.Context, status int, sub carillon.Subscription, shown map[string]string) error {
	view := savedView{subscriptionView: s.viewSubscription(sub), Warnings: s.warnings(sub)}
	var err error
	if view.Endpoint, err = reveal(view.Endpoint, shown); err != nil {
		return err
	}
	c.Response().Header().Set("ETag", etag(sub.Version))
	return answer(c, status, view)
}

func (s *Server) replaceSubscription(c echo.Context) error {
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	return s.updateSubscription(c, func(carillon.Subscription) (json.RawMessage, error) { return body, nil })
}

func (s *Server) patchSubscription(c echo.Context) error {
	patch, err := readBody(c, maxConfigBytes, jsonOrPatch)
	if err != nil {
		return err
	}
	if patch, err = feedsToScope(patch); err != nil {
		return err
	}
	return s.updateSubscription(c, func(current carillon.Subscription) (json.RawMessage, error) {
		return applyPatch(s.viewSubscription(current), patch)
	})
}

// updateTries bounds how often a change without If-Match is worked out anew
// because another came between.
const updateTries = 5

// updateSubscription replaces the subscription by what body makes of it. A
// change always applies to the version it was worked out from: secrets that
// the body masks come from there.
func (s *Server) updateSubscription(c echo.Context, body func(carillon.Subscription) (json.RawMessage, error)) error {
	for try := 1; ; try++ {
		current, err := s.namedSubscription(c)
		if err != nil {
			return err
		}
		text, err := body(current)
		if err != nil {
			return err
		}
		sub, shown, err := s.readSubscription(c.Request().Context(), text, &current)
		if err != nil {
			return err
		}
		if err := s.consented(c.Request().Context(), &sub); err != nil {
			return err
		}
		sub.UpdatedAt = s.deps.Now().UTC().Truncate(time.Microsecond)
		sub, err = s.deps.Store.UpdateSubscription(c.Request().Context(), sub, current.Version, actorOf(c))
		if carillon.CodeOf(err) == carillon.CodeStale && !conditional(c) && try < updateTries {
			continue
		}
		if err != nil {
			return err
		}
		return s.saved(c, http.StatusOK, sub, shown)
	}
}

func (s *Server) deleteSubscription(c echo.Context) error {
	sub, err := s.namedSubscription(c)
	if err != nil {
		return err
	}
	version := int64(0)
	if conditional(c) {
		version = sub.Version
	}
	if err := s.deps.Store.DeleteSubscription(c.Request().Context(), sub.ID, version, actorOf(c), s.deps.Now().UTC()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// applyPatch merges a patch into an object as RFC 7396 has it.
func applyPatch(current any, patch json.RawMessage) (json.RawMessage, error) {
	changes, ok := members(patch)
	if !ok {
		return nil, carillon.Invalid("", "must be a JSON object")
	}
	text, err := json.Marshal(current)
	if err != nil {
		return nil, err
	}
	target, _ := members(text)
	if target, err = merge(target, changes); err != nil {
		return nil, err
	}
	return json.Marshal(target)
}

func merge(target, patch map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	merged := maps.Clone(target)
	if merged == nil {
		merged = map[string]json.RawMessage{}
	}
	for key, change := range patch {
		if string(change) == "null" {
			delete(merged, key)
			continue
		}
		inner, ok := members(change)
		if !ok {
			merged[key] = change
			continue
		}
		below, _ := members(merged[key])
		result, err := merge(below, inner)
		if err != nil {
			return nil, err
		}
		if merged[key], err = json.Marshal(result); err != nil {
			return nil, err
		}
	}
	return merged, nil
}
