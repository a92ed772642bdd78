package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// guard makes a source with an authentication through the API.
func (b *bundle) guard(t *testing.T, name, kind, authentication string) {
	t.Helper()
	b.ok(t, http.StatusCreated, call{
		method: http.MethodPost, path: "/v1/sources",
		body: fmt.Sprintf(`{"name":%q,"kind":%q,"scope":{"feed":"containers"},"authentication":%s}`, name, kind, authentication),
	})
}

// upstreamCall is a request of a registry, without a key.
func upstreamCall(name, body string, header map[string]string) call {
	c := call{method: http.MethodPost, path: "/v1/sources/" + name + "/events", body: body, header: map[string]string{"Authorization": ""}}
	maps.Copy(c.header, header)
	return c
}

func hexHMAC(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestASourcesSecretLetsItsRegistryInAndNobodyElse(t *testing.T) {
	t.Parallel()
	body := pushed("upstream-1", "v1", "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b")
	tests := []struct {
		scheme string
		made   func(secret string) map[string]string
	}{
		{`"scheme":"token","header":"X-Token"`, func(s string) map[string]string { return map[string]string{"X-Token": s} }},
		{`"scheme":"bearer"`, func(s string) map[string]string { return map[string]string{"Authorization": "Bearer " + s} }},
		{`"scheme":"basic","username":"u"`, func(s string) map[string]string {
			return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+s))}
		}},
		{`"scheme":"hmac-sha256","header":"X-Hub-Signature-256"`, func(s string) map[string]string {
			return map[string]string{"X-Hub-Signature-256": hexHMAC(s, body)}
		}},
	}
	for _, test := range tests {
		t.Run(test.scheme, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.guard(t, "registry", "distribution", `{`+test.scheme+`,"secret":"s3cret-of-now-0001","previous_secret":"s3cret-of-before-02"}`)
			b.ok(t, http.StatusAccepted, upstreamCall("registry", body, test.made("s3cret-of-now-0001")))
			b.ok(t, http.StatusAccepted, upstreamCall("registry", body, test.made("s3cret-of-before-02")))
			for name, header := range map[string]map[string]string{
				"wrong":       test.made("s3cret-of-nobody-03"),
				"missing":     nil,
				"a key alone": {"Authorization": "Bearer " + key},
			} {
				resp := b.do(t, upstreamCall("registry", body, header))
				require.Equal(t, http.StatusUnauthorized, resp.status, name)
				require.NotEmpty(t, resp.header.Get("WWW-Authenticate"))
				// Nothing of the body is looked at before.
				require.Equal(t, http.StatusUnauthorized, b.do(t, upstreamCall("registry", `{`, header)).status, name)
			}
			require.Len(t, b.publisher.published, 1)
			require.NotContains(t, b.log.String(), "s3cret")
		})
	}
}

func TestWhoMayNotSendCannotTellWhatSourcesThereAre(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.guard(t, "guarded", "distribution", `{"scheme":"bearer","secret":"s3cret-of-now-0001"}`)
	b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/sources", body: registry})
	for _, header := range []map[string]string{nil, {"Authorization": "Bearer wrong-one-of-somebody"}} {
		var details []string
		for _, name := range []string{"guarded", "registry.example.com", "nowhere", "no%00where"} {
			p := b.problem(t, http.StatusUnauthorized, upstreamCall(name, `{}`, header))
			details = append(details, p.Detail+string(p.Code))
		}
		require.Equal(t, strings.Repeat(details[0], 4), strings.Join(details, ""))
	}
	b.problem(t, http.StatusNotFound, upstreamCall("nowhere", `{}`, map[string]string{"Authorization": "Bearer " + key}))
	b.problem(t, http.StatusRequestEntityTooLarge, upstreamCall("nowhere", strings.Repeat(" ", maxUpstreamBytes+1), nil))
}

func TestASourcesSecretsAreAnsweredAsMasks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.guard(t, "r", "distribution", `{"scheme":"token","header":"X-Token","secret":"s3cret-of-now-0001"}`)
	const path = "/v1/sources/r"
	stored := func() carillon.SourceAuthentication { return b.store.sources["r"].Authentication }
	change := func(method, body string) *authenticationView {
		answer := b.ok(t, http.StatusOK, call{method: method, path: path, body: body})
		require.NotContains(t, string(answer), "s3cret")
		return decode[sourceView](t, answer).Authentication
	}
	whole := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path})
	golden(t, "source_guarded", whole)
	require.Equal(t, "•••• 0001", decode[sourceView](t, whole).Authentication.Secret)
	require.NotContains(t, string(b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/sources"})), "s3cret")

	change(http.MethodPut, string(whole))
	require.Equal(t, "s3cret-of-now-0001", stored().Secret, "a mask keeps the secret")
	change(http.MethodPatch, `{"scope":{"feed":"other"}}`)
	require.Equal(t, "s3cret-of-now-0001", stored().Secret)

	view := change(http.MethodPatch, `{"authentication":{"secret":"s3cret-of-later-02","previous_secret":"•••• 0001"}}`)
	require.Equal(t, "•••• 0001", view.PreviousSecret)
	require.Equal(t, "s3cret-of-later-02", stored().Secret)
	require.Equal(t, "s3cret-of-now-0001", stored().PreviousSecret, "rotated without knowing the old one")
	change(http.MethodPatch, `{"authentication":{"previous_secret":null}}`)
	require.Empty(t, stored().PreviousSecret)

	for body, at := range map[string]string{
		`{"authentication":{"secret":"•••• 9999"}}`:       "/authentication/secret",
		`{"authentication":{"secret":"short"}}`:           "/authentication/secret",
		`{"authentication":{"scheme":"md5"}}`:             "/authentication/scheme",
		`{"authentication":{"scheme":"bearer"}}`:          "/authentication/header",
		`{"authentication":{"unreadable":true}}`:          "/authentication/unreadable",
		`{"authentication":{"password":"s3cret-of-now"}}`: "/authentication/password",
		`{"authentication":"s3cret-of-now"}`:              "/authentication",
	} {
		p := b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodPatch, path: path, body: body})
		require.Equal(t, at, p.Errors[0].Pointer, body)
		require.NotContains(t, fmt.Sprint(p), "s3cret", body)
	}
	require.Nil(t, change(http.MethodPatch, `{"authentication":null}`))
	require.Zero(t, stored())
	require.NotContains(t, b.log.String(), "s3cret")
}

func TestASourceWhoseSecretCannotBeOpenedTakesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.sources["r"] = carillon.Source{ID: "src_1", Name: "r", Kind: "distribution", Version: 1, Unreadable: true}
	b.problem(t, http.StatusServiceUnavailable, upstreamCall("r", `{}`, map[string]string{"Authorization": "Bearer " + key}))
	whole := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/sources/r"})
	b.ok(t, http.StatusOK, call{method: http.MethodPut, path: "/v1/sources/r", body: string(whole)})
	require.True(t, b.store.sources["r"].Unreadable, "it stays what it is")
	b.ok(t, http.StatusOK, call{
		method: http.MethodPatch, path: "/v1/sources/r",
		body: `{"authentication":{"unreadable":null,"scheme":"bearer","secret":"s3cret-of-now-0001"}}`,
	})
	b.ok(t, http.StatusAccepted, upstreamCall("r", `{}`, map[string]string{"Authorization": "Bearer s3cret-of-now-0001"}))
}

func TestTheSameUpstreamCall26TimesIsOneEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.guard(t, "harbor", "cloudevents", `{"scheme":"token","header":"Authorization","secret":"s3cret-of-now-0001"}`)
	header := map[string]string{
		"Authorization": "s3cret-of-now-0001", "Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/projects/2/webhook/policies/1",
		"Ce-Type": "harbor.scan.completed",
	}
	for range 26 {
		b.ok(t, http.StatusAccepted, upstreamCall("harbor", `{"scan":{"scan_type":"vulnerability"}}`, header))
	}
	require.Len(t, b.publisher.published, 1)
	require.Equal(t, "source.unknown", b.publisher.published[0].Type)
}
