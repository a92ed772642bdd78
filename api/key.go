package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// maxKeySources is far above what one producer speaks for.
const maxKeySources = 100

type keyStore interface {
	// ListKeys returns those whose ids come after the given one.
	ListKeys(ctx context.Context, after string, limit int) ([]carillon.Key, error)
	Key(ctx context.Context, id string) (carillon.Key, error)
	CreateKey(ctx context.Context, key carillon.Key, actor string) (carillon.Key, error)
	// RevokeKey changes nothing when the key is revoked already.
	RevokeKey(ctx context.Context, id, actor string, now time.Time) error
	// UseKey notes a use, unless one was noted less than every ago.
	UseKey(ctx context.Context, id string, now time.Time, every time.Duration) error
}

// keyView is a key as it is answered.
type keyView struct {
	ID         string              `json:"id"`
	Name       string              `json:"name"`
	Role       carillon.Role       `json:"role"`
	Sources    []string            `json:"sources,omitempty"`
	Scope      map[string][]string `json:"scope,omitempty"`
	RateLimit  carillon.RateLimit  `json:"rate_limit,omitzero"`
	State      carillon.KeyState   `json:"state"`
	CreatedBy  string              `json:"created_by"`
	CreatedAt  time.Time           `json:"created_at"`
	ExpiresAt  *time.Time          `json:"expires_at,omitempty"`
	RevokedAt  *time.Time          `json:"revoked_at,omitempty"`
	LastUsedAt *time.Time          `json:"last_used_at,omitempty"`
}

// createdKeyView answers the creation: the one time that the key itself is
// shown.
type createdKeyView struct {
	keyView
	Key string `json:"key"`
}

func (s *Server) viewKey(key carillon.Key) keyView {
	return keyView{
		ID: key.ID, Name: key.Name, Role: key.Role, Sources: key.Sources, Scope: key.Scope,
		RateLimit: key.RateLimit, State: key.State(s.deps.Now()), CreatedBy: key.CreatedBy, CreatedAt: key.CreatedAt.UTC(),
		ExpiresAt: someTime(key.ExpiresAt), RevokedAt: someTime(key.RevokedAt), LastUsedAt: someTime(key.LastUsedAt),
	}
}

// readKey makes a key of what was posted.
func readKey(body json.RawMessage, now time.Time) (carillon.Key, error) {
	f := readFields("", body)
	key := carillon.Key{
		Name:      f.required("name", maxNameBytes),
		Role:      carillon.Role(f.required("role", maxNameBytes)),
		Sources:   f.texts("sources", maxKeySources, carillon.MaxSourceBytes),
		Scope:     f.scopes("scope"),
		RateLimit: readRateLimit(f),
		ExpiresAt: f.time("expires_at"),
	}
	if key.Role != "" && !slices.Contains(carillon.Roles, key.Role) {
		f.wrong("role", "must be one of %s", join(carillon.Roles))
	}
	if !key.ExpiresAt.IsZero() && !key.ExpiresAt.After(now) {
		f.wrong("expires_at", "is in the past")
	}
	confined := key.Role == carillon.RoleAdmin && len(key.Scope) > 0
	switch {
	case len(key.Sources) > 0 && key.Role != carillon.RolePublisher && !confined:
		f.wrong("sources", "is for publishers, and for admins with a scope: others publish nothing, or everything")
	case len(key.Sources) > 0:
	case f.has("sources"):
		f.wrong("sources", "must have at least one entry: those whose events it may publish")
	case key.Role == carillon.RolePublisher:
		f.wrong("sources", "is required for a publisher: those whose events it may publish")
	}
	if slices.Contains(key.Sources, carillon.OwnSource) {
		f.wrong("sources", "must not have %q, the source of Carillon's own events", carillon.OwnSource)
	}
	return key, f.done()
}

// readRateLimit reads how many requests a key may make. A burst that is not
// given is twice what it may make in a second.
func readRateLimit(f *fields) carillon.RateLimit {
	raw := f.raw("rate_limit")
	if raw == nil {
		return carillon.RateLimit{}
	}
	r := readFields(f.at+"/rate_limit", raw)
	var limit carillon.RateLimit
	if !r.has("per_second") {
		r.raw("per_second")
		r.wrong("per_second", "is required")
	} else if json.Unmarshal(r.raw("per_second"), &limit.PerSecond) != nil || limit.PerSecond < carillon.MinRate || limit.PerSecond > carillon.MaxRate {
		r.wrong("per_second", "must be a number from %g to %d", carillon.MinRate, carillon.MaxRate)
	}
	limit.Burst = max(int(2*limit.PerSecond), 1)
	if burst := r.raw("burst"); burst != nil {
		if json.Unmarshal(burst, &limit.Burst) != nil || limit.Burst < 1 || limit.Burst > carillon.MaxBurst {
			r.wrong("burst", "must be a number of requests from 1 to %d", carillon.MaxBurst)
		}
	}
	// done makes no errors but about the input.
	_ = f.include("rate_limit", r.done())
	return limit
}

func (s *Server) createKey(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	now := s.deps.Now().UTC().Truncate(time.Microsecond)
	key, err := readKey(body, now)
	if err != nil {
		return err
	}
	key.ID, key.CreatedAt = carillon.NewID(carillon.KeyPrefix, now), now
	secret := carillon.NewKeySecret(key.ID)
	key.Hash = carillon.HashKey(secret)
	if key, err = s.deps.Store.CreateKey(c.Request().Context(), key, actorOf(c)); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/keys/"+key.ID)
	return answer(c, http.StatusCreated, createdKeyView{keyView: s.viewKey(key), Key: secret})
}

func (s *Server) listKeys(c echo.Context) error {
	return listByID(c, s.deps.Store.ListKeys, s.viewKey, func(last carillon.Key) string {
		return cursor(last.CreatedAt, last.ID)
	})
}

func (s *Server) key(c echo.Context) error {
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if err := readQuery(c).done(); err != nil {
		return err
	}
	key, err := s.deps.Store.Key(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, s.viewKey(key))
}

// revokeKey ends a key at once in this process, and in others when they look
// it up next.
func (s *Server) revokeKey(c echo.Context) error {
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if err := readQuery(c).done(); err != nil {
		return err
	}
	// Also when it errs: the revocation can have been committed all the same.
	defer s.keys.forget(id)
	now := s.deps.Now().UTC().Truncate(time.Microsecond)
	if err := s.deps.Store.RevokeKey(c.Request().Context(), id, actorOf(c), now); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
