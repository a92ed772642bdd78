package api

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// admin is who acts with the admin key of the configuration, in audit entries.
const admin = "admin"

// Who else than admins may use a route; see [route].
var (
	readers    = []carillon.Role{carillon.RoleReader, carillon.RoleOperator}
	operators  = []carillon.Role{carillon.RoleOperator}
	publishers = []carillon.Role{carillon.RolePublisher}
)

const (
	// keyLifetime is how long a key that was looked up is taken for what it
	// was: so long after its revocation by another process it still works.
	keyLifetime = 5 * time.Second
	// usePeriod is how exact a key's last use is.
	usePeriod = time.Minute
	// useTimeout is for noting a use, for which nobody waits.
	useTimeout = 5 * time.Second
)

// callerKey is where a request's context has the key that it came with.
type callerKey struct{}

// callerOf returns the key that the request came with; false where none was
// asked for.
func callerOf(ctx context.Context) (carillon.Key, bool) {
	key, ok := ctx.Value(callerKey{}).(carillon.Key)
	return key, ok
}

// actorOf is who makes a change, for the audit.
func actorOf(c echo.Context) string {
	key, _ := callerOf(c.Request().Context())
	return key.ID
}

// authorized lets only requests through whose key has a role that the route
// allows; admins may do everything.
func (s *Server) authorized(allow []carillon.Role, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		secret := authorization(c, "Bearer")
		if f := faceOf(c); f != nil {
			secret = f.secret(c)
		}
		if secret == "" {
			return carillon.Errorf(carillon.CodeUnauthorized, "a key is required: Authorization: Bearer <key>")
		}
		key, err := s.admitted(c, secret)
		if err != nil {
			return err
		}
		if key.Role != carillon.RoleAdmin && !slices.Contains(allow, key.Role) {
			return carillon.Errorf(carillon.CodeForbidden, "a key with the role %s may not do that; allowed are %s",
				key.Role, join(append([]carillon.Role{carillon.RoleAdmin}, allow...)))
		}
		ctx, err := confine(c, key)
		if err != nil {
			return err
		}
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// keyring opens keys: the one of the configuration, and those of the database,
// which it remembers for a moment.
type keyring struct {
	admin carillon.KeyHash
	store keyStore
	now   func() time.Time
	log   *slog.Logger

	mu    sync.Mutex
	known map[string]knownKey // by id; only keys that there are
	// forgotten counts calls of forget: what was read before one of them is old.
	forgotten int
	uses      sync.WaitGroup
}

// knownKey is a key as it was read.
type knownKey struct {
	carillon.Key
	readAt time.Time
	// usedAt is the last use that this process noted, or tried to.
	usedAt time.Time
}

func newKeyring(d Deps) *keyring {
	return &keyring{
		admin: carillon.HashKey(d.AdminKey), store: d.Store, now: d.Now, log: d.Log, known: map[string]knownKey{},
	}
}

// open returns the key that a secret is of. Its error is of
// [carillon.CodeUnauthorized], and says more than that to those only who have
// the right secret.
func (r *keyring) open(ctx context.Context, secret string) (carillon.Key, error) {
	hash := carillon.HashKey(secret)
	if hash.Equal(r.admin) {
		return carillon.Key{ID: admin, Name: admin, Role: carillon.RoleAdmin}, nil
	}
	invalid := carillon.Errorf(carillon.CodeUnauthorized, "the key is not valid")
	id, ok := carillon.KeyIDOf(secret)
	if !ok || !printable(id) {
		return carillon.Key{}, invalid
	}
	key, err := r.find(ctx, id)
	if carillon.CodeOf(err) == carillon.CodeNotFound {
		return carillon.Key{}, invalid
	}
	if err != nil {
		return carillon.Key{}, err
	}
	if !hash.Equal(key.Hash) {
		return carillon.Key{}, invalid
	}
	if state := key.State(r.now()); state != carillon.KeyActive {
		return carillon.Key{}, carillon.Errorf(carillon.CodeUnauthorized, "the key %s is %s", id, state)
	}
	r.used(ctx, id)
	return key, nil
}

// find looks a key up, at most every [keyLifetime].
func (r *keyring) find(ctx context.Context, id string) (carillon.Key, error) {
	r.mu.Lock()
	known, ok := r.known[id]
	forgotten := r.forgotten
	r.mu.Unlock()
	if now := r.now(); ok && now.Sub(known.readAt) < keyLifetime {
		return known.Key, nil
	}
	readAt := r.now()
	key, err := r.store.Key(ctx, id)
	if err != nil {
		return carillon.Key{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forgotten == forgotten {
		usedAt := r.known[id].usedAt
		if key.LastUsedAt.After(usedAt) {
			usedAt = key.LastUsedAt
		}
		r.known[id] = knownKey{Key: key, readAt: readAt, usedAt: usedAt}
	}
	return key, nil
}

// forget makes the next use of a key look it up; so does every lookup that is
// under way.
func (r *keyring) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, id)
	r.forgotten++
}

// used notes that a key was used, once in [usePeriod] and beside the request,
// which does not wait for it.
func (r *keyring) used(ctx context.Context, id string) {
	now := r.now().UTC()
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.known[id]
	if !ok || now.Sub(known.usedAt) < usePeriod {
		return
	}
	known.usedAt = now
	r.known[id] = known
	r.uses.Go(func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), useTimeout)
		defer stop()
		if err := r.store.UseKey(ctx, id, now, usePeriod); err != nil {
			r.log.LogAttrs(ctx, slog.LevelWarn, "use of a key not noted", slog.String("key", id), slog.Any("error", err))
		}
	})
}
