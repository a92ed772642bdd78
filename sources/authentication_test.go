package sources

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	stdhash "hash"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/signature"
)

var authenticatedAt = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

func sum(algorithm func() stdhash.Hash, secret string, body []byte) []byte {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write(body)
	return mac.Sum(nil)
}

func standardHeader(t testing.TB, secret string, at time.Time, body []byte) http.Header {
	t.Helper()
	key, err := signature.ParseKey(secret)
	require.NoError(t, err)
	header := http.Header{}
	header.Set(signature.HeaderID, "msg_1")
	header.Set(signature.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(signature.HeaderSignature, signature.Sign([]signature.Key{key}, "msg_1", at, body))
	return header
}

func TestEverySchemeRightWrongRotatedAndMissing(t *testing.T) {
	t.Parallel()
	set := func(name, value string) http.Header {
		header := http.Header{}
		header.Set(name, value)
		return header
	}
	basic := func(user, password string) http.Header {
		return set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	tests := []struct {
		name             string
		auth             carillon.SourceAuthentication
		now, before, bad string
		made             func(secret string, body []byte) http.Header
		ofBody           bool
	}{
		{
			name: "token", auth: carillon.SourceAuthentication{Scheme: SchemeToken, Header: "x-gitlab-token"},
			made: func(secret string, _ []byte) http.Header { return set("X-Gitlab-Token", secret) },
		}, {
			name: "token in Authorization, as Harbor sends it", auth: carillon.SourceAuthentication{Scheme: SchemeToken, Header: "Authorization"},
			made: func(secret string, _ []byte) http.Header { return set("Authorization", secret) },
		}, {
			name: "bearer", auth: carillon.SourceAuthentication{Scheme: SchemeBearer},
			made: func(secret string, _ []byte) http.Header { return set("Authorization", "bearer "+secret) },
		}, {
			name: "basic", auth: carillon.SourceAuthentication{Scheme: SchemeBasic, Username: "registry"},
			made: func(secret string, _ []byte) http.Header { return basic("registry", secret) },
		}, {
			name: "basic with colons in the password", auth: carillon.SourceAuthentication{Scheme: SchemeBasic, Username: "registry"},
			now: "with:a:colon", before: "with:another:colon", bad: "with:a",
			made: func(secret string, _ []byte) http.Header { return basic("registry", secret) },
		}, {
			name: "hmac-sha256 in hex with its prefix", auth: carillon.SourceAuthentication{Scheme: SchemeHMACSHA256, Header: "X-Hub-Signature-256"},
			ofBody: true,
			made: func(secret string, body []byte) http.Header {
				return set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sum(sha256.New, secret, body)))
			},
		}, {
			name: "hmac-sha256 in hex of capitals", auth: carillon.SourceAuthentication{Scheme: SchemeHMACSHA256, Header: "X-Gitea-Signature"},
			ofBody: true,
			made: func(secret string, body []byte) http.Header {
				return set("X-Gitea-Signature", strings.ToUpper(hex.EncodeToString(sum(sha256.New, secret, body))))
			},
		}, {
			name: "hmac-sha256 in base64", auth: carillon.SourceAuthentication{Scheme: SchemeHMACSHA256, Header: "X-Signature"},
			ofBody: true,
			made: func(secret string, body []byte) http.Header {
				return set("X-Signature", base64.StdEncoding.EncodeToString(sum(sha256.New, secret, body)))
			},
		}, {
			name: "hmac-sha1 in hex, as Nexus sends it", auth: carillon.SourceAuthentication{Scheme: SchemeHMACSHA1, Header: "X-Nexus-Webhook-Signature"},
			ofBody: true,
			made: func(secret string, body []byte) http.Header {
				return set("X-Nexus-Webhook-Signature", hex.EncodeToString(sum(sha1.New, secret, body)))
			},
		}, {
			name: "hmac-sha1 in base64 with its prefix", auth: carillon.SourceAuthentication{Scheme: SchemeHMACSHA1, Header: "X-Hub-Signature"},
			ofBody: true,
			made: func(secret string, body []byte) http.Header {
				return set("X-Hub-Signature", "sha1="+base64.StdEncoding.EncodeToString(sum(sha1.New, secret, body)))
			},
		}, {
			name: "standard-webhooks", auth: carillon.SourceAuthentication{Scheme: SchemeStandardWebhooks},
			now: signature.NewSecret(), before: signature.NewSecret(), bad: signature.NewSecret(),
			ofBody: true,
			made: func(secret string, body []byte) http.Header {
				return standardHeader(t, secret, authenticatedAt, body)
			},
		},
	}
	body := []byte("{\"events\": [] }\n")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.now == "" {
				test.now, test.before, test.bad = "the secret of now", "the secret of before", "the secret of noW"
			}
			alone := test.auth
			alone.Secret = test.now
			rotating := alone
			rotating.PreviousSecret = test.before
			require.Empty(t, CheckAuthentication(alone))
			require.Empty(t, CheckAuthentication(rotating))
			ask := func(a carillon.SourceAuthentication, header http.Header, body []byte) bool {
				return Authenticate(a, header, body, authenticatedAt)
			}

			right := test.made(test.now, body)
			require.True(t, ask(alone, right, body), "right")
			require.True(t, ask(rotating, right, body), "the new one of two")
			require.True(t, ask(rotating, test.made(test.before, body), body), "the old one of two")
			require.False(t, ask(alone, test.made(test.before, body), body), "the old one, after its time")
			require.False(t, ask(rotating, test.made(test.bad, body), body), "wrong")
			require.False(t, ask(rotating, http.Header{}, body), "missing")
			for name, values := range right {
				header := right.Clone()
				header[name] = []string{""}
				require.False(t, ask(rotating, header, body), "empty")
				header[name] = []string{values[0][:len(values[0])-3]}
				require.False(t, ask(rotating, header, body), "cut")
				header[name] = []string{"\xff %zz"}
				require.False(t, ask(rotating, header, body), "no text")
			}
			require.Equal(t, !test.ofBody, ask(rotating, right, []byte("{\"events\": []}\n")), "a body of one byte less")
		})
	}
}

func TestAHeaderThatIsThereTwiceAuthenticatesNobody(t *testing.T) {
	t.Parallel()
	auth := carillon.SourceAuthentication{Scheme: SchemeToken, Header: "X-Token", Secret: "the secret"}
	header := http.Header{"X-Token": {"the secret", "the secret"}}
	require.False(t, Authenticate(auth, header, nil, authenticatedAt))

	auth = carillon.SourceAuthentication{Scheme: SchemeStandardWebhooks, Secret: signature.NewSecret()}
	for name := range standardHeader(t, auth.Secret, authenticatedAt, nil) {
		header := standardHeader(t, auth.Secret, authenticatedAt, nil)
		require.True(t, Authenticate(auth, header, nil, authenticatedAt))
		header[name] = append(header[name], header[name][0])
		require.False(t, Authenticate(auth, header, nil, authenticatedAt), name)
	}
}

func TestAnOldStandardWebhookAuthenticatesNobody(t *testing.T) {
	t.Parallel()
	auth := carillon.SourceAuthentication{Scheme: SchemeStandardWebhooks, Secret: signature.NewSecret()}
	body := []byte(`{}`)
	old := standardHeader(t, auth.Secret, authenticatedAt.Add(-6*time.Minute), body)
	require.False(t, Authenticate(auth, old, body, authenticatedAt))
}

func TestNoAuthenticationAuthenticatesNobody(t *testing.T) {
	t.Parallel()
	for _, scheme := range append(Schemes(), "", "none") {
		auth := carillon.SourceAuthentication{Scheme: scheme, Header: "X-Token"}
		header := http.Header{"X-Token": {""}, "Authorization": {"Bearer "}}
		require.False(t, Authenticate(auth, header, nil, authenticatedAt), scheme)
	}
}

func TestWhatIsWrongWithAnAuthentication(t *testing.T) {
	t.Parallel()
	const secret = "a good secret"
	tests := []struct {
		name string
		auth carillon.SourceAuthentication
		want string
	}{
		{"no scheme", carillon.SourceAuthentication{Secret: secret}, "/scheme"},
		{"an unknown scheme", carillon.SourceAuthentication{Scheme: "md5", Secret: secret}, "/scheme"},
		{"a token without a header", carillon.SourceAuthentication{Scheme: SchemeToken, Secret: secret}, "/header"},
		{"a header that is none", carillon.SourceAuthentication{Scheme: SchemeHMACSHA1, Header: "X Token:", Secret: secret}, "/header"},
		{"a header for nothing", carillon.SourceAuthentication{Scheme: SchemeBearer, Header: "X-Token", Secret: secret}, "/header"},
		{"basic without a user", carillon.SourceAuthentication{Scheme: SchemeBasic, Secret: secret}, "/username"},
		{"a user with a colon", carillon.SourceAuthentication{Scheme: SchemeBasic, Username: "a:b", Secret: secret}, "/username"},
		{"a user for nothing", carillon.SourceAuthentication{Scheme: SchemeBearer, Username: "a", Secret: secret}, "/username"},
		{"no secret", carillon.SourceAuthentication{Scheme: SchemeBearer}, "/secret"},
		{"a short secret", carillon.SourceAuthentication{Scheme: SchemeBearer, Secret: "1234567"}, "/secret"},
		{"a long secret", carillon.SourceAuthentication{Scheme: SchemeBearer, Secret: strings.Repeat("x", 513)}, "/secret"},
		{"a secret that ends with a space", carillon.SourceAuthentication{Scheme: SchemeBearer, Secret: secret + " "}, "/secret"},
		{"no key of Standard Webhooks", carillon.SourceAuthentication{Scheme: SchemeStandardWebhooks, Secret: secret}, "/secret"},
		{"the same secret twice", carillon.SourceAuthentication{Scheme: SchemeBearer, Secret: secret, PreviousSecret: secret}, "/previous_secret"},
		{"a short previous secret", carillon.SourceAuthentication{Scheme: SchemeBearer, Secret: secret, PreviousSecret: "x"}, "/previous_secret"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			problems := CheckAuthentication(test.auth)
			require.Len(t, problems, 1, "%v", problems)
			require.Equal(t, test.want, problems[0].Pointer)
			require.NotContains(t, problems[0].Detail, secret)
		})
	}
}
