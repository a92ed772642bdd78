package api

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/carillon-dev/carillon"
)

const (
	// keptBuckets bounds the memory of the limits, each of a few hundred bytes:
	// far more than there are keys, and addresses that fail at a time. One that
	// falls out begins anew.
	keptBuckets = 10_000
	// keptProofs is how many pairs of an address and a key that was right there
	// are remembered.
	keptProofs = 50_000
)

// Guesses is how often an address may show keys that are not valid, until they
// are not looked at: a mistake in a program's configuration stays below it, and
// no key that is worth the name is found at that pace.
var Guesses = carillon.RateLimit{PerSecond: 10, Burst: 100}

// limits are how much each key may ask for, and how often each address may be
// wrong. It is safe for concurrent use.
type limits struct {
	now func() time.Time
	// standard is for keys that have no limit of their own, guesses for
	// addresses; zero is none.
	standard, guesses carillon.RateLimit

	mu     sync.Mutex // to make a bucket once
	keys   *lru.Cache[string, *bucket]
	wrong  *lru.Cache[netip.Prefix, *rate.Limiter]
	proofs *lru.Cache[proof, struct{}]
}

// bucket has a token for each request that may be made now.
type bucket struct {
	limit  carillon.RateLimit
	tokens *rate.Limiter
}

// proof is that a key was right at an address.
type proof struct {
	from netip.Prefix
	hash carillon.KeyHash
}

func newLimits(d Deps) *limits {
	l := &limits{now: d.Now, standard: d.RateLimit, guesses: d.Guesses}
	// They only refuse a size below one.
	l.keys, _ = lru.New[string, *bucket](keptBuckets)
	l.wrong, _ = lru.New[netip.Prefix, *rate.Limiter](keptBuckets)
	l.proofs, _ = lru.New[proof, struct{}](keptProofs)
	return l
}

// bucket returns that of a key or a source; nil when nothing limits it.
func (l *limits) bucket(id string, own carillon.RateLimit) *bucket {
	if own.IsZero() {
		own = l.standard
	}
	if own.IsZero() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.keys.Get(id); ok && b.limit == own {
		return b
	}
	b := &bucket{limit: own, tokens: rate.NewLimiter(rate.Limit(own.PerSecond), own.Burst)}
	l.keys.Add(id, b)
	return b
}

// take spends n tokens, or none; then it returns after how long to ask again.
func (b *bucket) take(now time.Time, n int) (wait time.Duration) {
	r := b.tokens.ReserveN(now, n)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// spendMore takes n requests more from what the caller's key may make, beside
// the one that it is making: a batch counts as its events. One with more of them
// than can ever be at once takes all there can be.
func (s *Server) spendMore(c echo.Context, n int) error {
	key, _ := callerOf(c.Request().Context())
	b := s.limits.bucket(key.ID, key.RateLimit)
	if b == nil {
		return nil
	}
	return s.spend(c, b, min(n, b.limit.Burst-1))
}

// spendOne takes a request from what a key or a source may make.
func (s *Server) spendOne(c echo.Context, id string, own carillon.RateLimit) error {
	b := s.limits.bucket(id, own)
	if b == nil {
		return nil
	}
	return s.spend(c, b, 1)
}

// spend takes n requests and tells the client how it stands.
// https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
func (s *Server) spend(c echo.Context, b *bucket, n int) error {
	now := s.limits.now()
	wait := b.take(now, n)
	left := max(b.tokens.TokensAt(now), 0)
	h := c.Response().Header()
	full := float64(b.limit.Burst)
	h.Set("RateLimit-Policy", fmt.Sprintf(`"key";q=%d;w=%d`, b.limit.Burst, seconds(full/b.limit.PerSecond)))
	h.Set("RateLimit", fmt.Sprintf(`"key";r=%d;t=%d`, int(left), seconds((full-left)/b.limit.PerSecond)))
	if wait == 0 {
		return nil
	}
	return tooMany(c, wait, fmt.Sprintf("this key may make %s requests a second, and %d at once; an event of a batch counts as one",
		strconv.FormatFloat(b.limit.PerSecond, 'f', -1, 64), b.limit.Burst))
}

// seconds rounds up, to at least one.
func seconds(s float64) int { return max(int(math.Ceil(s)), 1) }

func tooMany(c echo.Context, wait time.Duration, detail string) error {
	c.Response().Header().Set("Retry-After", strconv.Itoa(seconds(wait.Seconds())))
	return carillon.Errorf(carillon.CodeRateLimited, "%s", detail)
}

// admitted opens the caller's key and takes a request from what it may make. An
// address that was wrong too often is refused without a look at the key, so that
// nobody can go on guessing; but not with a key that was right there before, so
// that nobody can lock out others behind the same proxy.
func (s *Server) admitted(c echo.Context, secret string) (carillon.Key, error) {
	p := proof{from: addressOf(c.Request()), hash: carillon.HashKey(secret)}
	if wait := s.limits.guess(p); wait > 0 {
		return carillon.Key{}, tooMany(c, wait, "too many requests without a valid key came from your address")
	}
	key, err := s.keys.open(c.Request().Context(), secret)
	s.limits.guessed(p, err)
	if err != nil {
		return carillon.Key{}, err
	}
	return key, s.spendOne(c, key.ID, key.RateLimit)
}

// guess returns how long to wait before the key may be looked at.
func (l *limits) guess(p proof) time.Duration {
	if l.guesses.IsZero() || l.proofs.Contains(p) {
		return 0
	}
	wrong, ok := l.wrong.Get(p.from)
	if !ok {
		return 0
	}
	missing := 1 - wrong.TokensAt(l.now())
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / l.guesses.PerSecond * float64(time.Second))
}

// guessed notes whether the key was right.
func (l *limits) guessed(p proof, err error) {
	switch {
	case l.guesses.IsZero():
	case err == nil:
		l.proofs.Add(p, struct{}{})
	case carillon.CodeOf(err) == carillon.CodeUnauthorized:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.proofs.Remove(p) // it was revoked, or ran out
		wrong, ok := l.wrong.Get(p.from)
		if !ok {
			wrong = rate.NewLimiter(rate.Limit(l.guesses.PerSecond), l.guesses.Burst)
			l.wrong.Add(p.from, wrong)
		}
		wrong.AllowN(l.now(), 1)
	}
}

// wholeIPv6 is the part of an IPv6 address that one customer has.
const wholeIPv6 = 64

// addressOf returns where a request comes from: the connection's other end,
// because headers say what their sender likes.
func addressOf(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{} // all that have none together
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = wholeIPv6
	}
	prefix, _ := ip.Prefix(bits) // it only refuses other numbers of bits
	return prefix
}
