package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// What operators and publishers may do besides reading; admins may do
// everything, and every other change is theirs alone.
var (
	operatorsMay = []string{
		"POST /v1/events/:id/deliveries/:subscription/retry-now",
		"POST /v1/events/:id/deliveries/:subscription/cancel",
		"POST /v1/events/:id/deliveries/:subscription/redeliver",
		"POST /v1/subscriptions/:id/test",
		"POST /v1/subscriptions/:id/enable",
		"POST /v1/subscriptions/:id/pause",
		"POST /v1/subscriptions/:id/disable",
		"POST /v1/subscriptions/:id/recover",
		"DELETE /v1/subscriptions/:id/recover",
		"POST /api/settings/webhooks/:id/refresh_availability_status/",
		"POST /v1/alerts/read",
		"POST /v1/alerts/delete",
		"GET /v1/codec", "POST /v1/codec/decode", "POST /v1/codec/encode",
	}
	readersMay = []string{
		"POST /v1/conditions/evaluate", "POST /v1/templates/preview", "POST /v1/templates/import/proget",
		"POST /v1/messages/preview",
	}
	publishersMay = []string{
		"POST /v1/events",
		"POST /v1/events/batch",
		"POST /v1/sources/:name/events",
	}
)

// may says who may use a route, worked out without the table that is tested.
func may(role carillon.Role, method, path string) bool {
	adminsOnly := strings.HasPrefix(path, "/v1/keys") || strings.HasPrefix(path, "/v1/settings") || path == "/v1/audit"
	reads := method == http.MethodGet && !adminsOnly && path != codecPath || slices.Contains(readersMay, method+" "+path)
	switch role {
	case carillon.RoleReader:
		return reads
	case carillon.RoleOperator:
		return reads || slices.Contains(operatorsMay, method+" "+path)
	case carillon.RolePublisher:
		return slices.Contains(publishersMay, method+" "+path)
	}
	return role == carillon.RoleAdmin
}

// unauthorized is the status without a valid key: that of ProGet's page is 403.
func unauthorized(path string) int {
	if strings.HasPrefix(path, "/api/webhooks/") {
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

func TestEveryRouteForEveryRole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secrets := map[carillon.Role]string{}
	for _, role := range carillon.Roles {
		secrets[role], _ = b.store.newKey(t, role, func(k *carillon.Key) {
			if role == carillon.RolePublisher {
				k.Sources = []string{"x"}
			}
		})
	}
	expired, _ := b.store.newKey(t, carillon.RoleAdmin, func(k *carillon.Key) { k.ExpiresAt = now })
	revoked, _ := b.store.newKey(t, carillon.RoleAdmin, func(k *carillon.Key) { k.RevokedAt = now })
	wrong := secrets[carillon.RoleAdmin][:len(secrets[carillon.RoleAdmin])-1] + "1"
	for _, r := range b.routes() {
		if r.public {
			continue
		}
		name, request := r.method+" "+r.path, call{method: r.method, path: pathParam.ReplaceAllString(r.path, "x")}
		for _, role := range carillon.Roles {
			request.header = bearer(secrets[role])
			status := b.do(t, request).status
			require.NotEqual(t, http.StatusUnauthorized, status, "%s as %s", name, role)
			require.Equal(t, may(role, r.method, r.path), status != http.StatusForbidden, "%s as %s", name, role)
		}
		request.header = nil
		require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, b.do(t, request).status, "%s with the admin key", name)
		for what, secret := range map[string]string{"expired": expired, "revoked": revoked, "wrong": wrong, "none": ""} {
			request.header = bearer(secret)
			require.Equal(t, unauthorized(r.path), b.do(t, request).status, "%s with a key that is %s", name, what)
		}
	}
}

func TestARefusalSaysWhy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	active, id := b.store.newKey(t, carillon.RoleReader)
	expired, _ := b.store.newKey(t, carillon.RoleReader, func(k *carillon.Key) { k.ExpiresAt = now })
	revoked, _ := b.store.newKey(t, carillon.RoleReader, func(k *carillon.Key) { k.RevokedAt = now })
	tests := []struct {
		name, secret string
		status       int
		code         carillon.Code
		detail       string
	}{
		{"another role", active, 403, carillon.CodeForbidden, "a key with the role reader may not do that; allowed are admin"},
		{"expired", expired, 401, carillon.CodeUnauthorized, "is expired"},
		{"revoked", revoked, 401, carillon.CodeUnauthorized, "is revoked"},
		{"an id alone", id, 401, carillon.CodeUnauthorized, "the key is not valid"},
		{"an id and a guess", id + "_AAAA", 401, carillon.CodeUnauthorized, "the key is not valid"},
		{"the secret of another key", id + active[len(id):len(active)-1], 401, carillon.CodeUnauthorized, "the key is not valid"},
		{"an expired key's id and a guess", expired[:30] + "_AAAA", 401, carillon.CodeUnauthorized, "the key is not valid"},
		{"an id that there is not", "key_00000000000000000000000000_AAAA", 401, carillon.CodeUnauthorized, "the key is not valid"},
		{"an id that is no text", "key_\xff0000000000000000000000000_AAAA", 401, carillon.CodeUnauthorized, "the key is not valid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := b.problem(t, test.status, call{method: http.MethodGet, path: "/v1/keys", header: bearer(test.secret)})
			require.Equal(t, test.code, p.Code)
			require.Contains(t, p.Detail, test.detail)
		})
	}
}

func TestAPublisherPublishesItsOwnOnly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		source  string
		scope   string
		allowed bool
	}{
		{"its source and scope", "registry.example.com", `{"feed":"a"}`, true},
		{"another value that it is given", "registry.example.com", `{"feed":"b"}`, true},
		{"a scope key that it is not bound in", "registry.example.com", `{"feed":"a","product":"p"}`, true},
		{"another source", "other.example.com", `{"feed":"a"}`, false},
		{"its source in capitals", "Registry.example.com", `{"feed":"a"}`, false},
		{"another value", "registry.example.com", `{"feed":"c"}`, false},
		{"no value", "registry.example.com", `{"product":"p"}`, false},
		{"no scope", "registry.example.com", `{}`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			secret, _ := b.store.newKey(t, carillon.RolePublisher, func(k *carillon.Key) {
				k.Scope = map[string][]string{"feed": {"a", "b"}}
			})
			// With the id of an event that somebody else published before.
			body := `{"id":"1","type":"package.added","source":"` + test.source + `","scope":` + test.scope + `,"data":{"package":"p"}}`
			request := call{method: http.MethodPost, path: "/v1/events", body: body, header: bearer(secret)}
			if test.allowed {
				b.ok(t, http.StatusAccepted, request)
				return
			}
			p := b.problem(t, http.StatusForbidden, request)
			require.Equal(t, carillon.CodeForbidden, p.Code)
			require.Len(t, p.Errors, 1)
			require.Empty(t, b.publisher.published)
		})
	}
}

func TestAPublisherPostsToItsOwnSourcesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	memory := &fakeMemory{tags: map[carillon.TagKey]string{}}
	b.deps.Memory = memory
	for _, name := range []string{"registry.example.com", "other.example.com"} {
		b.store.sources[name] = carillon.Source{ID: "src_" + name, Name: name, Kind: "distribution", Scope: map[string]string{"feed": "a"}}
	}
	note := pushed("upstream-1", "v1", "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b")
	bound, _ := b.store.newKey(t, carillon.RolePublisher, func(k *carillon.Key) { k.Scope = map[string][]string{"feed": {"a"}} })
	elsewhere, _ := b.store.newKey(t, carillon.RolePublisher, func(k *carillon.Key) { k.Scope = map[string][]string{"feed": {"b"}} })

	b.problem(t, http.StatusForbidden, call{method: http.MethodPost, path: "/v1/sources/other.example.com/events", body: note, header: bearer(bound)})
	b.problem(t, http.StatusForbidden, call{method: http.MethodPost, path: "/v1/sources/registry.example.com/events", body: note, header: bearer(elsewhere)})
	require.Empty(t, memory.tags, "nothing is remembered of what was refused")
	b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/sources/registry.example.com/events", body: note, header: bearer(bound)})
	require.Len(t, b.publisher.published, 1)
}

// ring is a keyring with a clock that the test moves.
func ring(store keyStore, clock *time.Time) *keyring {
	b := newKeyring(Deps{AdminKey: key, Now: func() time.Time { return *clock }})
	b.store = store
	return b
}

func TestARevocationWorksAtOnceHereAndSoonElsewhere(t *testing.T) {
	t.Parallel()
	store, clock := &fakeKeys{}, now
	here, there := ring(store, &clock), ring(store, &clock)
	secret, id := store.newKey(t, carillon.RoleReader)
	for range 3 {
		for _, r := range []*keyring{here, there} {
			_, err := r.open(t.Context(), secret)
			require.NoError(t, err)
		}
	}
	require.Equal(t, 2, store.reads, "each looked once")

	require.NoError(t, store.RevokeKey(t.Context(), id, admin, clock))
	here.forget(id)
	_, err := here.open(t.Context(), secret)
	require.Equal(t, carillon.CodeUnauthorized, carillon.CodeOf(err))
	_, err = there.open(t.Context(), secret)
	require.NoError(t, err, "not yet")
	clock = clock.Add(keyLifetime)
	_, err = there.open(t.Context(), secret)
	require.Equal(t, carillon.CodeUnauthorized, carillon.CodeOf(err))
	here.uses.Wait()
	there.uses.Wait()
}

func TestALookupThatARevocationOvertakesIsNotRemembered(t *testing.T) {
	t.Parallel()
	store, clock := &fakeKeys{}, now
	r := ring(store, &clock)
	secret, id := store.newKey(t, carillon.RoleReader)
	store.whileKey = func() {
		store.whileKey = nil
		require.NoError(t, store.RevokeKey(t.Context(), id, admin, clock))
		r.forget(id)
	}
	_, err := r.open(t.Context(), secret)
	require.NoError(t, err, "it was read before")
	_, err = r.open(t.Context(), secret)
	require.Equal(t, carillon.CodeUnauthorized, carillon.CodeOf(err))
	r.uses.Wait()
}

func TestAnExpiryWorksAtOnce(t *testing.T) {
	t.Parallel()
	store, clock := &fakeKeys{}, now
	r := ring(store, &clock)
	secret, _ := store.newKey(t, carillon.RoleReader, func(k *carillon.Key) { k.ExpiresAt = now.Add(time.Second) })
	_, err := r.open(t.Context(), secret)
	require.NoError(t, err)
	clock = clock.Add(time.Second)
	_, err = r.open(t.Context(), secret)
	require.ErrorContains(t, err, "is expired")
	r.uses.Wait()
}

func TestAUseIsNotedOnceAMinuteAndNobodyWaitsForIt(t *testing.T) {
	t.Parallel()
	store, clock := &fakeKeys{noUse: make(chan struct{})}, now
	r := ring(store, &clock)
	secret, id := store.newKey(t, carillon.RoleReader)
	open := func() {
		_, err := r.open(t.Context(), secret)
		require.NoError(t, err)
	}
	open() // returns although the database does not
	clock = clock.Add(time.Second)
	open()
	close(store.noUse)
	r.uses.Wait()
	require.Equal(t, now, store.keys[id].LastUsedAt)
	clock = now.Add(usePeriod - time.Microsecond)
	open()
	r.uses.Wait()
	require.Equal(t, now, store.keys[id].LastUsedAt)
	clock = now.Add(usePeriod)
	open()
	r.uses.Wait()
	require.Equal(t, clock, store.keys[id].LastUsedAt)
}
