package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
)

// limited sets a server up with limits and a clock that the test moves.
func limited(t *testing.T, standard, guesses carillon.RateLimit) (b *bundle, clock *time.Time) {
	t.Helper()
	b, clock = setup(t), new(time.Time)
	*clock = now
	b.limits = newLimits(Deps{Now: func() time.Time { return *clock }, RateLimit: standard, Guesses: guesses})
	return b, clock
}

func TestAKeyThatAsksTooOftenWaits(t *testing.T) {
	t.Parallel()
	b, clock := limited(t, carillon.RateLimit{PerSecond: 0.5, Burst: 3}, carillon.RateLimit{})
	secret, _ := b.store.newKey(t, carillon.RoleReader)
	ask := call{method: http.MethodGet, path: "/v1/sources", header: bearer(secret)}
	for left := 2; left >= 0; left-- {
		reply := b.do(t, ask)
		require.Equal(t, http.StatusOK, reply.status)
		require.Equal(t, `"key";q=3;w=6`, reply.header.Get("RateLimit-Policy"))
		require.Equal(t, fmt.Sprintf(`"key";r=%d;t=%d`, left, 2*(3-left)), reply.header.Get("RateLimit"))
	}
	for range 2 { // being refused costs nothing
		reply := b.do(t, ask)
		require.Equal(t, http.StatusTooManyRequests, reply.status)
		require.Equal(t, "2", reply.header.Get("Retry-After"))
		require.Equal(t, `"key";r=0;t=6`, reply.header.Get("RateLimit"))
		p := decode[problem](t, reply.body)
		require.Equal(t, carillon.CodeRateLimited, p.Code)
		require.Contains(t, p.Detail, "0.5 requests a second, and 3 at once")
	}
	// Others are not concerned, and neither is what needs no key.
	other, _ := b.store.newKey(t, carillon.RoleReader)
	b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/sources", header: bearer(other)})
	b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/sources"})
	for range 10 {
		for _, path := range []string{"/livez", "/readyz", "/metrics", "/openapi.json"} {
			b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path, header: bearer(secret)})
		}
	}
	*clock = clock.Add(2 * time.Second)
	b.ok(t, http.StatusOK, ask)
	b.ok(t, http.StatusTooManyRequests, ask)

	// Another product's API says so in that product's way.
	require.JSONEq(t, `{"detail":"this key may make 0.5 requests a second, and 3 at once; an event of a batch counts as one"}`,
		string(b.ok(t, http.StatusTooManyRequests, call{method: http.MethodGet, path: "/api/settings/webhooks/", header: bearer(secret)})))
	b.ok(t, http.StatusTooManyRequests, call{method: http.MethodGet, path: "/api/webhooks/list", header: bearer(secret)})
}

func TestAKeysOwnLimitStandsForTheStandardOne(t *testing.T) {
	t.Parallel()
	b, _ := limited(t, carillon.RateLimit{PerSecond: 1, Burst: 1}, carillon.RateLimit{})
	secret, _ := b.store.newKey(t, carillon.RoleReader, func(k *carillon.Key) { k.RateLimit = carillon.RateLimit{PerSecond: 1, Burst: 5} })
	for range 5 {
		b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/sources", header: bearer(secret)})
	}
	b.ok(t, http.StatusTooManyRequests, call{method: http.MethodGet, path: "/v1/sources", header: bearer(secret)})

	b, _ = limited(t, carillon.RateLimit{}, carillon.RateLimit{})
	reply := b.do(t, call{method: http.MethodGet, path: "/v1/sources"})
	require.Equal(t, http.StatusOK, reply.status)
	require.Empty(t, reply.header.Get("RateLimit"), "nothing is said where nothing limits")
}

func TestABatchCountsAsItsEvents(t *testing.T) {
	t.Parallel()
	b, clock := limited(t, carillon.RateLimit{PerSecond: 1, Burst: 5}, carillon.RateLimit{})
	batch := func(n int) call {
		events := make([]string, n)
		for i := range events {
			events[i] = fmt.Sprintf(`{"id":"%d","type":"package.added","source":"s","data":{"package":"p"}}`, len(b.publisher.published)+i)
		}
		return call{method: http.MethodPost, path: "/v1/events/batch", body: `{"events":[` + strings.Join(events, ",") + `]}`}
	}
	require.Equal(t, `"key";r=1;t=4`, b.do(t, batch(4)).header.Get("RateLimit"))
	reply := b.do(t, batch(2))
	require.Equal(t, http.StatusTooManyRequests, reply.status)
	require.Equal(t, "1", reply.header.Get("Retry-After"))
	require.Len(t, b.publisher.published, 4, "all or none")

	// One with more events than can ever be at once takes all there is.
	*clock = clock.Add(time.Hour)
	require.Equal(t, `"key";r=0;t=5`, b.do(t, batch(20)).header.Get("RateLimit"))
	require.Len(t, b.publisher.published, 24)
	b.ok(t, http.StatusTooManyRequests, batch(1))
}

func TestManyRequestsAtOnceGetNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	b, _ := limited(t, carillon.RateLimit{PerSecond: 1, Burst: 20}, carillon.RateLimit{})
	var answered atomic.Int32
	var group errgroup.Group
	for range 100 {
		group.Go(func() error {
			rec := httptest.NewRecorder()
			b.ServeHTTP(rec, call{method: http.MethodGet, path: "/v1/sources"}.request())
			if rec.Code == http.StatusOK {
				answered.Add(1)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.EqualValues(t, 20, answered.Load())
}

func TestASourceWithASecretOfItsOwnIsLimitedToo(t *testing.T) {
	t.Parallel()
	b, _ := limited(t, carillon.RateLimit{PerSecond: 1, Burst: 2}, carillon.RateLimit{})
	b.store.sources["s"] = carillon.Source{
		ID: "src_s", Name: "s", Kind: "distribution", Authentication: carillon.SourceAuthentication{Scheme: "bearer", Secret: "right"},
	}
	post := func(secret string) int {
		return b.do(t, call{method: http.MethodPost, path: "/v1/sources/s/events", body: `{"events":[]}`, header: bearer(secret)}).status
	}
	for range 5 {
		require.Equal(t, http.StatusUnauthorized, post("wrong"), "others cannot use it up")
	}
	require.Equal(t, http.StatusAccepted, post("right"))
	require.Equal(t, http.StatusAccepted, post("right"))
	require.Equal(t, http.StatusTooManyRequests, post("right"))
}

// from sends a request with the secret from an address and returns the status.
func (b *bundle) from(address, secret string) int {
	req := call{method: http.MethodGet, path: "/v1/sources", header: bearer(secret)}.request()
	req.RemoteAddr = address
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, req)
	return rec.Code
}

func TestAnAddressThatGuessesKeysIsNotLookedAt(t *testing.T) {
	t.Parallel()
	b, clock := limited(t, carillon.RateLimit{}, carillon.RateLimit{PerSecond: 1, Burst: 3})
	known, _ := b.store.newKey(t, carillon.RoleReader)
	fresh, _ := b.store.newKey(t, carillon.RoleReader)
	const proxy, elsewhere = "203.0.113.7:1000", "203.0.113.8:1000"
	require.Equal(t, http.StatusOK, b.from(proxy, known))
	for range 3 {
		require.Equal(t, http.StatusUnauthorized, b.from(proxy, "guess"))
	}
	reads := b.store.reads
	require.Equal(t, http.StatusTooManyRequests, b.from("203.0.113.7:2000", "guess"))
	require.Equal(t, http.StatusTooManyRequests, b.from(proxy, fresh), "a right guess looks like a wrong one")
	require.Equal(t, http.StatusTooManyRequests, b.from(proxy, key))
	require.Equal(t, reads, b.store.reads)
	require.Equal(t, http.StatusOK, b.from(proxy, known), "a key that was right there before is")
	require.Equal(t, http.StatusOK, b.from(elsewhere, fresh), "other addresses are not concerned")

	*clock = clock.Add(time.Second)
	require.Equal(t, http.StatusOK, b.from(proxy, fresh))
	require.Equal(t, http.StatusUnauthorized, b.from(proxy, "guess"))
	require.Equal(t, http.StatusTooManyRequests, b.from(proxy, "guess"))

	reply := b.do(t, call{method: http.MethodGet, path: "/v1/sources", header: bearer("x")})
	require.Equal(t, http.StatusUnauthorized, reply.status)
	b.keys.uses.Wait()
}

func TestARevokedKeyIsNoProofAnyMore(t *testing.T) {
	t.Parallel()
	b, _ := limited(t, carillon.RateLimit{}, carillon.RateLimit{PerSecond: 1, Burst: 2})
	secret, id := b.store.newKey(t, carillon.RoleReader)
	require.Equal(t, http.StatusOK, b.from("203.0.113.7:1", secret))
	b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: "/v1/keys/" + id})
	require.Equal(t, http.StatusUnauthorized, b.from("203.0.113.7:1", secret))
	require.Equal(t, http.StatusUnauthorized, b.from("203.0.113.7:1", secret))
	require.Equal(t, http.StatusTooManyRequests, b.from("203.0.113.7:1", secret))
	b.keys.uses.Wait()
}

func TestOneCustomerIsOneAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ remote, want string }{
		{"203.0.113.7:1000", "203.0.113.7/32"},
		{"[::ffff:203.0.113.7]:1000", "203.0.113.7/32"},
		{"[2001:db8:1:2:3:4:5:6]:1000", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:1000", "fe80::/64"},
	} {
		require.Equal(t, netip.MustParsePrefix(test.want), addressOf(&http.Request{RemoteAddr: test.remote}), test.remote)
	}
	require.Equal(t, addressOf(&http.Request{}), addressOf(&http.Request{RemoteAddr: "@"}))
}

func TestLimitsTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	l := newLimits(Deps{Now: func() time.Time { return now }, RateLimit: carillon.RateLimit{PerSecond: 1, Burst: 1}, Guesses: Guesses})
	wrong := carillon.Errorf(carillon.CodeUnauthorized, "no")
	address := netip.MustParseAddr("10.0.0.0")
	for range keptProofs + 1000 {
		address = address.Next()
		at := netip.PrefixFrom(address, address.BitLen())
		l.bucket(at.String(), carillon.RateLimit{})
		l.guessed(proof{from: at}, wrong)
		l.guessed(proof{from: at}, nil)
	}
	require.Equal(t, keptBuckets, l.keys.Len())
	require.Equal(t, keptBuckets, l.wrong.Len())
	require.Equal(t, keptProofs, l.proofs.Len())
}
