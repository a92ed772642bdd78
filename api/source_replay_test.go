package api

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/signature"
	"github.com/carillon-dev/carillon/sources"
)

// signers sign a body in the schemes that sign one; at is when.
var signers = map[string]func(t *testing.T, secret, body string, at time.Time) map[string]string{
	sources.SchemeHMACSHA256: func(_ *testing.T, secret, body string, _ time.Time) map[string]string {
		return map[string]string{"X-Signature": "sha256=" + hexMAC(sha256.New, secret, body)}
	},
	sources.SchemeHMACSHA1: func(_ *testing.T, secret, body string, _ time.Time) map[string]string {
		return map[string]string{"X-Signature": hexMAC(sha1.New, secret, body)}
	},
	sources.SchemeStandardWebhooks: func(t *testing.T, secret, body string, at time.Time) map[string]string {
		key, err := signature.ParseKey(secret)
		require.NoError(t, err)
		return map[string]string{
			signature.HeaderID: "msg_1", signature.HeaderTimestamp: strconv.FormatInt(at.Unix(), 10),
			signature.HeaderSignature: signature.Sign([]signature.Key{key}, "msg_1", at, []byte(body)),
		}
	},
}

func hexMAC(algorithm func() hash.Hash, secret, body string) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// signedSource is the authentication of a scheme that signs bodies, and its
// secret.
func signedSource(scheme string) (authentication, secret string) {
	if scheme == sources.SchemeStandardWebhooks {
		secret = signature.NewSecret()
		return `{"scheme":"` + scheme + `","secret":"` + secret + `"}`, secret
	}
	secret = "s3cret-of-now-0001"
	return `{"scheme":"` + scheme + `","header":"X-Signature","secret":"` + secret + `"}`, secret
}

// upstreamExample is a body that a source of the kind understands; its headers
// are beside those of the signature.
func upstreamExample(t *testing.T, kind string) (body string, header map[string]string) {
	t.Helper()
	file, header := "", map[string]string{"Content-Type": "application/json"}
	switch kind {
	case "distribution":
		return pushed("upstream-1", "v1", "sha256:"+strings.Repeat("a", 64)), header
	case "cloudevents":
		header["Content-Type"] = sources.CloudEventType
		return `{"specversion":"1.0","id":"1","source":"urn:a","type":"ping","data":{}}`, header
	case "myget":
		file = "package_added"
	case "proget":
		file = "issues"
	case "codescoring":
		file = "every_trigger"
	case "defectdojo":
		file = "scan_added"
		header["X-DefectDojo-Event"] = file
	}
	text, err := os.ReadFile("../sources/testdata/" + kind + "/" + file + ".json")
	require.NoError(t, err)
	return string(text), header
}

// Of the kind and the scheme, only the bytes count: what reads the same as JSON
// is refused as soon as one byte differs from what was signed.
func TestEveryKindOfSourceIsSignedByteForByte(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		b := withStore(t, databaseURL)
		for _, kind := range sources.Kinds() {
			body, headers := upstreamExample(t, kind)
			for scheme, sign := range signers {
				name := kind + "-" + scheme
				authentication, secret := signedSource(scheme)
				b.guard(t, name, kind, authentication)
				send := func(status int, body string, signed map[string]string) {
					t.Helper()
					maps.Copy(signed, headers)
					b.ok(t, status, upstreamCall(name, body, signed))
				}
				taken := len(b.publisher.published)
				for what, changed := range map[string]string{
					"a space within":     strings.Replace(body, ":", ": ", 1),
					"a space at the end": body + " ",
					"a line break":       body + "\n",
					"a byte order mark":  "\ufeff" + body,
					"an escape":          strings.Replace(body, `"e`, `"\u0065`, 1),
					"a space less":       strings.TrimSpace(strings.Replace(body, " ", "", 1)),
				} {
					if changed == body {
						continue
					}
					send(http.StatusUnauthorized, changed, sign(t, secret, body, now))
					require.Len(t, b.publisher.published, taken, "%s: %s", name, what)
				}
				// Signed as they are, they are as good as the body itself.
				send(http.StatusAccepted, body, sign(t, secret, body, now))
				send(http.StatusAccepted, strings.Replace(body, ":", ": ", 1), sign(t, secret, strings.Replace(body, ":", ": ", 1), now))
				require.Greater(t, len(b.publisher.published), taken, name)
			}
		}
	})
}

// The one scheme whose requests have a time is good for five minutes around it.
func TestASignedRequestIsGoodForFiveMinutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, kind := range sources.Kinds() {
		authentication, secret := signedSource(sources.SchemeStandardWebhooks)
		b.guard(t, kind, kind, authentication)
		body, header := upstreamExample(t, kind)
		maps.Copy(header, signers[sources.SchemeStandardWebhooks](t, secret, body, now))
		for _, test := range []struct {
			after  time.Duration
			status int
		}{
			{0, http.StatusAccepted},
			{5 * time.Minute, http.StatusAccepted},
			{5*time.Minute + time.Second, http.StatusUnauthorized},
			{24 * time.Hour, http.StatusUnauthorized},
			{-5 * time.Minute, http.StatusAccepted},
			{-5*time.Minute - time.Second, http.StatusUnauthorized},
		} {
			b.deps.Now = func() time.Time { return now.Add(test.after) }
			b.ok(t, test.status, upstreamCall(kind, body, header))
		}
		b.deps.Now = func() time.Time { return now }
	}
}

// Within its five minutes, too, a request that somebody repeats makes no
// second event: its webhook-id is signed.
func TestASignedRequestThatIsRepeatedMakesNoSecondEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, kind := range sources.Kinds() {
		authentication, secret := signedSource(sources.SchemeStandardWebhooks)
		b.guard(t, kind, kind, authentication)
		body, header := upstreamExample(t, kind)
		maps.Copy(header, signers[sources.SchemeStandardWebhooks](t, secret, body, now))
		b.ok(t, http.StatusAccepted, upstreamCall(kind, body, header))
		taken := len(b.publisher.published)
		require.NotZero(t, taken, kind)
		b.deps.Now = func() time.Time { return now.Add(time.Minute) }
		b.ok(t, http.StatusAccepted, upstreamCall(kind, body, header))
		require.Len(t, b.publisher.published, taken, kind)
		b.deps.Now = func() time.Time { return now }
		header[signature.HeaderID] = "msg_2"
		b.ok(t, http.StatusUnauthorized, upstreamCall(kind, body, header))
	}
}
