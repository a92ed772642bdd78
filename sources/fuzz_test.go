package sources

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/signature"
)

// FuzzCloudEvents gives the adapter anything: structured, in a batch, or
// binary with any attributes.
func FuzzCloudEvents(f *testing.F) {
	for _, contentType := range []string{CloudEventType, CloudEventsType, "application/json", ""} {
		f.Add(contentType, "", "", harborEvent())
		f.Add(contentType, "", "", "["+harborEvent()+"]")
		f.Add(contentType, "1.0", "%00", `{}`)
	}
	c, err := loadCatalog()
	require.NoError(f, err)
	source := carillon.Source{ID: "src_1", Name: "registry", Kind: "cloudevents", Scope: map[string]string{"feed": "containers"}}
	f.Fuzz(func(t *testing.T, contentType, version, attribute, body string) {
		in := Upstream{
			Body: []byte(body), Source: source, Catalog: c, ReceivedAt: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC),
			Header: http.Header{
				"Content-Type": {contentType}, "Ce-Specversion": {version}, "Ce-Id": {attribute}, "Ce-Source": {attribute},
				"Ce-Type": {"ping"}, "Ce-Subject": {attribute}, "Ce-Carillonscope": {attribute},
			},
		}
		memory := newMemory()
		events, err := cloudEvents{}.Events(t.Context(), in, memory)
		if err != nil {
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
			require.Empty(t, events)
			return
		}
		for _, e := range events {
			told := source
			told.Scope = e.Scope
			require.Equal(t, "containers", e.Scope["feed"])
			requirePublishable(t, c, told, e)
		}
		again, err := cloudEvents{}.Events(t.Context(), in, memory)
		require.NoError(t, err)
		require.Equal(t, events, again)
	})
}

func hexSum(prefix, secret, body string) string {
	return prefix + hex.EncodeToString(sum(sha256.New, secret, []byte(body)))
}

// FuzzAuthenticate holds that whatever a request carries, it is let in by a
// secret alone: not with another one, and, where the body is signed, not with
// another body.
func FuzzAuthenticate(f *testing.F) {
	const body = `{"events":[]}`
	keyText := signature.NewSecret()
	for i, scheme := range Schemes() {
		secret := "the secret of now"
		if scheme == SchemeStandardWebhooks {
			secret = keyText
		}
		for _, header := range []string{
			secret, "Bearer " + secret, "Basic dXNlcjp0aGUgc2VjcmV0IG9mIG5vdw==", "sha256=", "sha1=", "", "\xff", "=", "v1,",
			hexSum("sha256=", secret, body), hexSum("", secret, body), standardHeader(f, keyText, authenticatedAt, []byte(body)).Get(signature.HeaderSignature),
		} {
			f.Add(i, secret, header, body)
		}
	}
	f.Fuzz(func(t *testing.T, n int, secret, value, body string) {
		scheme := Schemes()[uint(n)%uint(len(Schemes()))]
		auth := carillon.SourceAuthentication{Scheme: scheme, Secret: secret}
		header := http.Header{}
		switch scheme {
		case SchemeToken, SchemeHMACSHA1, SchemeHMACSHA256:
			auth.Header = "X-Signature"
			header.Set(auth.Header, value)
		case SchemeStandardWebhooks:
			header = standardHeader(t, keyText, authenticatedAt, []byte(body))
			header.Set(signature.HeaderSignature, value)
		default:
			header.Set("Authorization", value)
		}
		if scheme == SchemeBasic {
			auth.Username = "user"
		}
		problems := CheckAuthentication(auth)
		for _, p := range problems {
			if len(secret) > minSecretBytes {
				require.NotContains(t, p.Detail, secret)
			}
		}
		let := Authenticate(auth, header, []byte(body), authenticatedAt)
		if len(problems) > 0 || !let {
			return
		}
		signed := slices.Contains([]string{SchemeHMACSHA1, SchemeHMACSHA256, SchemeStandardWebhooks}, scheme)
		require.Equal(t, !signed, Authenticate(auth, header, []byte(body+" "), authenticatedAt))
		auth.Secret += "x"
		if scheme == SchemeStandardWebhooks {
			auth.Secret = signature.NewSecret()
		}
		require.False(t, Authenticate(auth, header, []byte(body), authenticatedAt))
		if !signed {
			require.True(t, strings.Contains(value, secret) || scheme == SchemeBasic)
		}
	})
}
