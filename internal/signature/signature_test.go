package signature_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/signature"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	// The pair of RFC 8032's first ed25519 test.
	seedHalf   = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
	publicHalf = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
)

var signedAt = time.Unix(1731705121, 0)

func key(t *testing.T, text string) signature.Key {
	t.Helper()
	k, err := signature.ParseKey(text)
	require.NoError(t, err)
	return k
}

func headers(id string, at time.Time, signed string) http.Header {
	h := http.Header{}
	h.Set(signature.HeaderID, id)
	h.Set(signature.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(signature.HeaderSignature, signed)
	return h
}

func TestSignGivesTheKnownVectors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ key, want string }{
		"HMAC, from the libraries of Standard Webhooks": {
			key:  secret,
			want: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		},
		"ed25519, from Svix's server": {
			key:  "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
			want: "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := signature.Sign([]signature.Key{key(t, tc.key)}, "msg_p5jXN8AQM9LWM0D4loKWxJek",
				time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
			require.Equal(t, tc.want, got)
		})
	}
}

func TestTheLibraryOfStandardWebhooksAcceptsWhatIsSigned(t *testing.T) {
	t.Parallel()
	text := signature.NewSecret()
	theirs, err := standardwebhooks.NewWebhook(text)
	require.NoError(t, err)
	now, payload := time.Now(), []byte(`{"type":"ping"}`)
	keys := []signature.Key{key(t, secret), key(t, text), key(t, "whsk_"+seedHalf)}
	header := headers("evt_1", now, signature.Sign(keys, "evt_1", now, payload))

	require.NoError(t, theirs.Verify(payload, header))
	require.Error(t, theirs.Verify([]byte(`{"type":"pinG"}`), header))

	signed, err := theirs.Sign("evt_1", now, payload)
	require.NoError(t, err)
	require.NoError(t, signature.Verify(keys, headers("evt_1", now, signed), payload, now, signature.DefaultTolerance))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	const id, payload = "evt_1", `{"type":"ping"}`
	hmacKey, other := secret, signature.NewSecret()
	private, public := "whsk_"+seedHalf, "whpk_"+publicHalf
	sign := func(keys ...string) string {
		parsed := make([]signature.Key, 0, len(keys))
		for _, k := range keys {
			parsed = append(parsed, key(t, k))
		}
		return signature.Sign(parsed, id, signedAt, []byte(payload))
	}
	good := sign(hmacKey)
	for name, tc := range map[string]struct {
		keys    []string
		signed  string
		edit    func(http.Header)
		payload string
		now     time.Time
		want    error
	}{
		"the same secret verifies":                 {keys: []string{hmacKey}, signed: good},
		"another secret does not":                  {keys: []string{other}, signed: good, want: signature.ErrSignature},
		"no key verifies nothing":                  {signed: good, want: signature.ErrSignature},
		"the zero key verifies nothing":            {keys: []string{""}, signed: good, want: signature.ErrSignature},
		"one of two keys is enough":                {keys: []string{other, hmacKey}, signed: good},
		"one of two signatures is enough":          {keys: []string{hmacKey}, signed: sign(other, hmacKey)},
		"a public key verifies what its pair made": {keys: []string{public}, signed: sign(private)},
		"a private key verifies, too":              {keys: []string{private}, signed: sign(private)},
		"HMAC and ed25519 share one header":        {keys: []string{public}, signed: sign(hmacKey, private)},
		"a public key makes no signature":          {keys: []string{public}, signed: sign(public) + "x", want: signature.ErrSignature},
		"a signature under the other version's name is refused": {
			keys: []string{public}, signed: strings.Replace(sign(private), "v1a,", "v1,", 1), want: signature.ErrSignature,
		},
		"a part of a signature is refused": {keys: []string{hmacKey}, signed: good[:len(good)-4], want: signature.ErrSignature},
		"one changed byte of the payload is refused": {
			keys: []string{hmacKey}, signed: good, payload: `{"type":"pinh"}`, want: signature.ErrSignature,
		},
		"one changed byte of an ed25519 payload is refused": {
			keys: []string{public}, signed: sign(private), payload: `{"type":"pinh"}`, want: signature.ErrSignature,
		},
		"another id is refused": {
			keys: []string{hmacKey}, signed: good, edit: func(h http.Header) { h.Set(signature.HeaderID, "evt_2") },
			want: signature.ErrSignature,
		},
		"another timestamp is refused": {
			keys: []string{hmacKey}, signed: good, edit: func(h http.Header) { h.Set(signature.HeaderTimestamp, "1731705122") },
			want: signature.ErrSignature,
		},
		"a missing id is refused": {
			keys: []string{hmacKey}, signed: good, edit: func(h http.Header) { h.Del(signature.HeaderID) }, want: signature.ErrHeaders,
		},
		"a missing timestamp is refused": {
			keys: []string{hmacKey}, signed: good, edit: func(h http.Header) { h.Del(signature.HeaderTimestamp) }, want: signature.ErrHeaders,
		},
		"a timestamp that is no number is refused": {
			keys: []string{hmacKey}, signed: good, edit: func(h http.Header) { h.Set(signature.HeaderTimestamp, "soon") }, want: signature.ErrHeaders,
		},
		"a missing signature is refused": {keys: []string{hmacKey}, want: signature.ErrHeaders},
		"five minutes late is in time":   {keys: []string{hmacKey}, signed: good, now: signedAt.Add(5 * time.Minute)},
		"later is too late":              {keys: []string{hmacKey}, signed: good, now: signedAt.Add(5*time.Minute + time.Second), want: signature.ErrTimestamp},
		"five minutes early is in time":  {keys: []string{hmacKey}, signed: good, now: signedAt.Add(-5 * time.Minute)},
		"earlier is too early":           {keys: []string{hmacKey}, signed: good, now: signedAt.Add(-5*time.Minute - time.Second), want: signature.ErrTimestamp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var keys []signature.Key
			for _, text := range tc.keys {
				if text == "" {
					keys = append(keys, signature.Key{})
					continue
				}
				keys = append(keys, key(t, text))
			}
			header := headers(id, signedAt, tc.signed)
			if tc.edit != nil {
				tc.edit(header)
			}
			body, now := payload, signedAt
			if tc.payload != "" {
				body = tc.payload
			}
			if !tc.now.IsZero() {
				now = tc.now
			}
			require.ErrorIs(t, signature.Verify(keys, header, []byte(body), now, signature.DefaultTolerance), tc.want)
		})
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	bytesOf := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	pair := base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(make([]byte, 32)))
	unlike := base64.StdEncoding.EncodeToString(append(make([]byte, 32), make([]byte, 32)...))
	for name, tc := range map[string]struct {
		text, problem string
		signs         bool
	}{
		"a secret of 24 bytes":            {text: "whsec_" + bytesOf(24), signs: true},
		"a secret of 64 bytes":            {text: "whsec_" + bytesOf(64), signs: true},
		"a secret of 23 bytes":            {text: "whsec_" + bytesOf(23), problem: "24 to 64 bytes"},
		"a secret of 65 bytes":            {text: "whsec_" + bytesOf(65), problem: "24 to 64 bytes"},
		"a secret without its padding":    {text: "whsec_" + strings.TrimRight(bytesOf(32), "="), problem: "base64"},
		"a secret with a line break":      {text: "whsec_" + bytesOf(24)[:8] + "\n" + bytesOf(24)[8:], problem: "base64"},
		"a secret of other characters":    {text: "whsec_ sesame, open", problem: "base64"},
		"a secret without its prefix":     {text: bytesOf(32), problem: "begins with whsec_"},
		"nothing":                         {problem: "begins with whsec_"},
		"a seed":                          {text: "whsk_" + bytesOf(32), signs: true},
		"a seed and its public key":       {text: "whsk_" + pair, signs: true},
		"a seed and another's public key": {text: "whsk_" + unlike, problem: "do not belong together"},
		"half a seed":                     {text: "whsk_" + bytesOf(16), problem: "32 or 64 bytes"},
		"a public key":                    {text: "whpk_" + bytesOf(32)},
		"a public key of another kind":    {text: "whpk_" + bytesOf(33), problem: "32 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := signature.ParseKey(tc.text)
			if tc.problem == "" {
				require.NoError(t, err)
				require.Equal(t, tc.signs, k.CanSign())
				return
			}
			require.ErrorContains(t, err, tc.problem)
			if tc.text != "" {
				require.NotContains(t, err.Error(), tc.text)
			}
		})
	}
}

func TestPublicIsTheReceiversHalf(t *testing.T) {
	t.Parallel()
	public, ok := key(t, "whsk_"+seedHalf).Public()
	require.True(t, ok)
	require.Equal(t, "whpk_"+publicHalf, public)
	_, ok = key(t, secret).Public()
	require.False(t, ok)
}

func TestNewSecretIsNewAndReadable(t *testing.T) {
	t.Parallel()
	a, b := signature.NewSecret(), signature.NewSecret()
	require.NotEqual(t, a, b)
	require.True(t, key(t, a).CanSign())
}

func TestAKeyNeverPrintsItself(t *testing.T) {
	t.Parallel()
	k := key(t, "whsk_"+seedHalf)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, "[key]", fmt.Sprintf(format, k))
	}
}

func TestANewPrivateKeySignsForItsPublicHalf(t *testing.T) {
	t.Parallel()
	text := signature.NewPrivate()
	require.NotEqual(t, text, signature.NewPrivate())
	public, ok := key(t, text).Public()
	require.True(t, ok)
	signed := signature.Sign([]signature.Key{key(t, text)}, "evt_1", signedAt, []byte("x"))
	require.NoError(t, signature.Verify([]signature.Key{key(t, public)}, headers("evt_1", signedAt, signed), []byte("x"), signedAt, time.Second))
}
