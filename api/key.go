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
		State: key.State(s.deps.Now()), CreatedBy: key.CreatedBy, CreatedAt: key.CreatedAt.UTC(),
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
		ExpiresAt: f.time("expires_at"),
	}
	if key.Role != "" && !slices.Contains(carillon.Roles, key.Role) {
		f.wrong("role", "must be one of %s", join(carillon.Roles))
	}
	if !key.ExpiresAt.IsZero() && !key.ExpiresAt.After(now) {
		f.wrong("expires_at", "is in the past")
	}
	if key.Role != carillon.RolePublisher {
		for _, name := range []string{"sources", "scope"} {
			if f.has(name) {
				f.wrong(name, "is for publishers only")
			}
		}
		return key, f.done()
	}
	switch {
	case len(key.Sources) > 0:
	case f.has("sources"):
		f.wrong("sources", "must have at least one entry: those whose events the publisher may publish")
	default:
		f.wrong("sources", "is required for a publisher: those whose events it may publish")
	}
	if slices.Contains(key.Sources, carillon.OwnSource) {
		f.wrong("sources", "must not have %q, the source of Carillon's own events", carillon.OwnSource)
	}
	return key, f.done()
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
