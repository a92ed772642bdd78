package client

import (
	"fmt"
	"net/http"
	"time"

	"github.com/carillon-dev/carillon/internal/signature"
)

// DefaultTolerance is how far a webhook's timestamp may be from the receiver's
// clock, to either side, unless [Tolerance] says otherwise.
const DefaultTolerance = signature.DefaultTolerance

// What [Verify] can find wrong.
var (
	ErrHeaders   = signature.ErrHeaders   // a header of a signed webhook is missing or malformed
	ErrTimestamp = signature.ErrTimestamp // it is too old, or from the future
	ErrSignature = signature.ErrSignature // none of the secrets made one of the signatures
)

// VerifyOption changes how [Verify] judges.
type VerifyOption func(*verification)

type verification struct {
	now       time.Time
	tolerance time.Duration
}

// At makes [Verify] judge as if it were now at that time.
func At(now time.Time) VerifyOption { return func(v *verification) { v.now = now } }

// Tolerance sets how far the timestamp may be from the receiver's clock.
func Tolerance(d time.Duration) VerifyOption { return func(v *verification) { v.tolerance = d } }

// Verify reports whether a webhook was sent by a Carillon that has one of the
// secrets: whsec_… as given or shown when the subscription was created, or
// whpk_…, the public half of a key pair. The payload is the request's body,
// byte for byte, before it is parsed.
//
// A receiver answers 2xx, and takes a repeated webhook-id for the same event.
// The error wraps [ErrHeaders], [ErrTimestamp] or [ErrSignature], and says
// nothing of the secrets.
//
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func Verify(secrets []string, header http.Header, payload []byte, options ...VerifyOption) error {
	v := verification{now: time.Now(), tolerance: DefaultTolerance}
	for _, option := range options {
		option(&v)
	}
	keys := make([]signature.Key, len(secrets))
	for i, secret := range secrets {
		var err error
		if keys[i], err = signature.ParseKey(secret); err != nil {
			return fmt.Errorf("read secret %d: %w", i+1, err)
		}
	}
	return signature.Verify(keys, header, payload, v.now, v.tolerance)
}
