package sources

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what Nexus and others sign with; an HMAC of it is sound
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	stdhash "hash"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/signature"
)

// The schemes of [carillon.SourceAuthentication].
const (
	SchemeToken            = "token"             // the secret itself, in a header
	SchemeBearer           = "bearer"            // Authorization: Bearer <secret>
	SchemeBasic            = "basic"             // Authorization: Basic, the secret is the password
	SchemeHMACSHA256       = "hmac-sha256"       // of the body, in a header
	SchemeHMACSHA1         = "hmac-sha1"         // of the body, in a header
	SchemeStandardWebhooks = "standard-webhooks" // https://www.standardwebhooks.com
)

// Schemes returns all of them.
func Schemes() []string {
	return []string{SchemeToken, SchemeBearer, SchemeBasic, SchemeHMACSHA256, SchemeHMACSHA1, SchemeStandardWebhooks}
}

// Lengths of a secret: a shorter one is guessed, a longer one fits in no header.
const (
	minSecretBytes = 8
	maxSecretBytes = 512
)

// headerPattern is what a header may be called here: all that anybody uses of
// the token of RFC 9110.
var headerPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// CheckAuthentication returns what is wrong with an authentication, with
// pointers into it. No problem shows a secret.
func CheckAuthentication(a carillon.SourceAuthentication) []carillon.Problem {
	var problems []carillon.Problem
	wrong := func(at, format string, args ...any) {
		problems = append(problems, carillon.Problem{Pointer: "/" + at, Detail: fmt.Sprintf(format, args...)})
	}
	if !slices.Contains(Schemes(), a.Scheme) {
		wrong("scheme", "must be one of %s", strings.Join(Schemes(), ", "))
		return problems
	}
	inHeader := a.Scheme == SchemeToken || a.Scheme == SchemeHMACSHA256 || a.Scheme == SchemeHMACSHA1
	switch {
	case inHeader && !headerPattern.MatchString(a.Header):
		wrong("header", "must be the name of a header, such as X-Signature: 1 to 100 letters, digits, hyphens and underscores")
	case !inHeader && a.Header != "":
		wrong("header", "is not for the scheme %s, which has a header of its own", a.Scheme)
	}
	switch {
	case a.Scheme != SchemeBasic && a.Username != "":
		wrong("username", "is for the scheme basic only")
	case a.Scheme == SchemeBasic && (a.Username == "" || strings.Contains(a.Username, ":")):
		wrong("username", "must be there for the scheme basic, and have no colon")
	}
	if a.Secret == "" {
		wrong("secret", "is required")
	} else if detail := checkSecret(a.Scheme, a.Secret); detail != "" {
		wrong("secret", "%s", detail)
	}
	if a.PreviousSecret == "" {
		return problems
	}
	if detail := checkSecret(a.Scheme, a.PreviousSecret); detail != "" {
		wrong("previous_secret", "%s", detail)
	} else if a.PreviousSecret == a.Secret {
		wrong("previous_secret", "is the secret itself")
	}
	return problems
}

func checkSecret(scheme, secret string) string {
	if len(secret) < minSecretBytes || len(secret) > maxSecretBytes {
		return fmt.Sprintf("must be %d to %d bytes", minSecretBytes, maxSecretBytes)
	}
	if scheme == SchemeStandardWebhooks {
		key, err := signature.ParseKey(secret)
		switch {
		case err != nil:
			return err.Error()
		case strings.HasPrefix(secret, signature.PrivatePrefix) && key.CanSign():
			return fmt.Sprintf("is a private key; the public one (%s…) verifies", signature.PublicPrefix)
		}
		return ""
	}
	if strings.TrimSpace(secret) != secret {
		return "must not begin or end with a space: a header cannot"
	}
	return ""
}

// Authenticate reports whether a request was made by somebody who has one of
// the source's secrets. The body is as it came, byte for byte. A request of a
// scheme that has a time must be of the last or next
// [signature.DefaultTolerance]. How long it takes does not depend on how much of
// a secret is right.
func Authenticate(a carillon.SourceAuthentication, header http.Header, body []byte, now time.Time) bool {
	secrets := []string{a.Secret}
	if a.PreviousSecret != "" {
		secrets = append(secrets, a.PreviousSecret)
	}
	if a.Scheme == SchemeStandardWebhooks {
		return authenticateStandard(secrets, header, body, now)
	}
	accepted := 0
	for _, secret := range secrets {
		if secret != "" { // no stored source has an empty one
			accepted |= matches(a, secret, header, body)
		}
	}
	return accepted == 1
}

func authenticateStandard(secrets []string, header http.Header, body []byte, now time.Time) bool {
	for _, name := range []string{signature.HeaderID, signature.HeaderTimestamp, signature.HeaderSignature} {
		if _, ok := only(header, name); !ok {
			return false
		}
	}
	var keys []signature.Key
	for _, secret := range secrets {
		if key, err := signature.ParseKey(secret); err == nil {
			keys = append(keys, key)
		}
	}
	return signature.Verify(keys, header, body, now, signature.DefaultTolerance) == nil
}

// matches returns 1 when the request was made with the secret, else 0.
func matches(a carillon.SourceAuthentication, secret string, header http.Header, body []byte) int {
	switch a.Scheme {
	case SchemeToken:
		given, ok := only(header, a.Header)
		return both(ok, same(given, secret))
	case SchemeBearer:
		given, ok := authorization(header, "Bearer")
		return both(ok, same(given, secret))
	case SchemeBasic:
		given, ok := authorization(header, "Basic")
		raw, err := base64.StdEncoding.DecodeString(given)
		user, password, colon := strings.Cut(string(raw), ":")
		return both(ok && err == nil && colon, same(user, a.Username)&same(password, secret))
	case SchemeHMACSHA256:
		return matchesHMAC(sha256.New, "sha256=", a.Header, secret, header, body)
	case SchemeHMACSHA1:
		return matchesHMAC(sha1.New, "sha1=", a.Header, secret, header, body)
	}
	return 0
}

// matchesHMAC takes a hash in hexadecimal or in base64, which differ in length,
// with the name of the hash before it or without.
func matchesHMAC(algorithm func() stdhash.Hash, prefix, name, secret string, header http.Header, body []byte) int {
	given, ok := only(header, name)
	given = strings.TrimPrefix(given, prefix)
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write(body)
	sum := mac.Sum(nil)
	raw, err := hex.DecodeString(given)
	if len(given) != hex.EncodedLen(len(sum)) {
		raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(given, "="))
	}
	return both(ok && err == nil, subtle.ConstantTimeCompare(raw, sum))
}

// only returns a header that is there once: of two, another reader could take
// the other one.
func only(header http.Header, name string) (string, bool) {
	values := header.Values(name)
	if len(values) != 1 {
		return "", false
	}
	return strings.TrimSpace(values[0]), true
}

func authorization(header http.Header, scheme string) (string, bool) {
	value, ok := only(header, "Authorization")
	given, credentials, _ := strings.Cut(value, " ")
	return strings.TrimSpace(credentials), ok && strings.EqualFold(given, scheme)
}

// same compares hashes, which hides the secret's length, too.
func same(given, secret string) int {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(a[:], b[:])
}

func both(formed bool, equal int) int {
	if !formed {
		return 0
	}
	return equal
}
