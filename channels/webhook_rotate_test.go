package channels_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/signature"
)

// rotator is what the API asks of a channel with a signing secret.
type rotator interface {
	channels.Sender
	Rotate(stored carillon.Endpoint, secret string, overlap time.Duration) (carillon.Endpoint, map[string]string, error)
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// clock is a time that a test moves.
type clock struct{ at atomic.Pointer[time.Time] }

func (c *clock) now() time.Time { return *c.at.Load() }

func (c *clock) set(at time.Time) { c.at.Store(&at) }

// rotating returns a webhook channel at noon, and an endpoint of it that signs
// with markedSecret.
func rotating(t *testing.T, fields string) (rotator, carillon.Endpoint, *clock, *receiver.Receiver) {
	t.Helper()
	c := &clock{}
	c.set(noon)
	sender, ok := channels.NewRegistry(channels.Config{Policy: loopback, Now: c.now, PublicURL: "https://bells.example.com"})["webhook"].(rotator)
	require.True(t, ok)
	r, base := serve(t)
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"`+base+`/hook","secret":"`+markedSecret+`"`+fields+`}`), nil)
	require.NoError(t, err)
	return sender, kept, c, r
}

func rotate(t *testing.T, sender rotator, stored carillon.Endpoint, secret string, overlap time.Duration) (kept carillon.Endpoint, current string) {
	t.Helper()
	kept, shown, err := sender.Rotate(stored, secret, overlap)
	require.NoError(t, err)
	if secret != "" {
		require.Nil(t, shown)
		return kept, secret
	}
	require.NotContains(t, string(sender.Redact(kept)), shown["secret"])
	return kept, shown["secret"]
}

// signers sends an attempt and returns which of the secrets signed it.
func signers(t *testing.T, sender rotator, kept carillon.Endpoint, at time.Time, r *receiver.Receiver, secrets ...string) []bool {
	t.Helper()
	a := sender.Attempt(t.Context(), conformance{format: "standard"}.message(kept, 1))
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	requests := r.Requests("/hook")
	got := requests[len(requests)-1]
	signed := make([]bool, len(secrets))
	count := 0
	for i, secret := range secrets {
		key, err := signature.ParseKey(secret)
		require.NoError(t, err)
		signed[i] = signature.Verify([]signature.Key{key}, got.Header, got.Body, at, time.Second) == nil
		if signed[i] {
			count++
		}
	}
	require.Len(t, strings.Fields(got.Header.Get(signature.HeaderSignature)), count, "nothing else signed")
	return signed
}

// previous reads the previous secrets of an endpoint.
func previous(t *testing.T, endpoint []byte) []map[string]string {
	t.Helper()
	var fields struct {
		Previous []map[string]string `json:"previous_secrets"`
	}
	require.NoError(t, json.Unmarshal(endpoint, &fields))
	return fields.Previous
}

func TestARotatedSecretSignsForTheOverlapAndNotLonger(t *testing.T) {
	t.Parallel()
	sender, stored, c, r := rotating(t, "")
	kept, current := rotate(t, sender, stored, "", time.Hour)
	require.Equal(t, []map[string]string{{"secret": "•••• cmV0", "expires_at": "2026-11-21T13:00:00Z"}}, previous(t, sender.Redact(kept)))

	last := noon.Add(time.Hour - time.Millisecond)
	for _, at := range []time.Time{noon, last} {
		c.set(at)
		require.Equal(t, []bool{true, true}, signers(t, sender, kept, at, r, current, markedSecret))
	}
	over := noon.Add(time.Hour)
	c.set(over)
	require.Equal(t, []bool{true, false}, signers(t, sender, kept, over, r, current, markedSecret))

	// It is no longer shown, and gone with the next change.
	require.Contains(t, string(kept), markedSecret)
	redacted := sender.Redact(kept)
	require.Empty(t, previous(t, redacted))
	again, _, err := sender.Prepare(redacted, kept)
	require.NoError(t, err)
	require.NotContains(t, string(again), markedSecret)
	require.Contains(t, string(again), current)
}

func TestARotationWithoutAnOverlapIsOneAtOnce(t *testing.T) {
	t.Parallel()
	sender, stored, c, r := rotating(t, `,"previous_secrets":["`+markedPrevious+`"]`)
	kept, current := rotate(t, sender, stored, "", 0)
	require.Empty(t, previous(t, kept))
	require.Equal(t, []bool{true, false, false}, signers(t, sender, kept, c.now(), r, current, markedSecret, markedPrevious))
}

func TestAfterTheOverlapTheNewSecretSignsAlone(t *testing.T) {
	t.Parallel()
	sender, kept, _, _ := rotating(t, `,"previous_secrets":["`+markedPrevious+`"]`)
	kept, _ = rotate(t, sender, kept, "", 48*time.Hour)
	kept, _ = rotate(t, sender, kept, "", 24*time.Hour)
	kept, _ = rotate(t, sender, kept, "", 36*time.Hour)
	var expiries []string
	for _, p := range previous(t, kept) {
		expiries = append(expiries, p["expires_at"])
	}
	require.Equal(t, []string{"2026-11-23T00:00:00Z", "2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z"}, expiries,
		"the newest first, and none longer than a later rotation left it")
}

func TestRepeatedRotationKeepsFourPreviousSecrets(t *testing.T) {
	t.Parallel()
	sender, kept, c, r := rotating(t, "")
	secrets := []string{markedSecret}
	for range 6 {
		var current string
		kept, current = rotate(t, sender, kept, "", time.Hour)
		secrets = append([]string{current}, secrets...)
	}
	require.Equal(t, []bool{true, true, true, true, true, false, false}, signers(t, sender, kept, c.now(), r, secrets...))

	// And what is answered can be put back.
	again, shown, err := sender.Prepare(sender.Redact(kept), kept)
	require.NoError(t, err)
	require.Nil(t, shown)
	require.JSONEq(t, string(kept), string(again))
}

func TestARotationCanBeTakenBack(t *testing.T) {
	t.Parallel()
	sender, kept, c, r := rotating(t, "")
	kept, _ = rotate(t, sender, kept, markedPrevious, time.Hour)
	kept, _ = rotate(t, sender, kept, markedSecret, time.Hour)
	require.Len(t, previous(t, kept), 1)
	c.set(noon.Add(time.Hour))
	require.Equal(t, []bool{true, false}, signers(t, sender, kept, c.now(), r, markedSecret, markedPrevious))
}

func TestARotationKeepsTheKindOfTheSecret(t *testing.T) {
	t.Parallel()
	sender, kept, c, r := rotating(t, "")
	kept, current := rotate(t, sender, kept, "", 0)
	require.True(t, strings.HasPrefix(current, signature.SecretPrefix))

	kept, _ = rotate(t, sender, kept, "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", 0)
	kept, current = rotate(t, sender, kept, "", 0)
	require.True(t, strings.HasPrefix(current, signature.PrivatePrefix))
	var fields struct {
		Public string `json:"public_key"`
	}
	require.NoError(t, json.Unmarshal(sender.Redact(kept), &fields))
	require.Equal(t, []bool{true}, signers(t, sender, kept, c.now(), r, fields.Public))
}

func TestARotationIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ secret, detail string }{
		"a secret without its prefix":       {"marked", "begins with whsec_"},
		"a public key":                      {"whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "cannot sign"},
		"a mask":                            {"•••• cmV0", "is a mask"},
		"the secret that is there":          {markedSecret, "signs already"},
		"a secret with too little entropy":  {"whsec_bWFya2Vk", "24 to 64 bytes"},
		"a secret with more after its last": {markedPrevious + "\n", "base64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender, stored, _, _ := rotating(t, "")
			_, _, err := sender.Rotate(stored, tc.secret, time.Hour)
			var e *carillon.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, carillon.CodeInvalid, e.Code)
			require.Len(t, e.Problems, 1)
			require.Equal(t, "/secret", e.Problems[0].Pointer)
			require.Contains(t, e.Problems[0].Detail, tc.detail)
			require.NotContains(t, e.Error(), "marked")
		})
	}
	t.Run("an endpoint that cannot be read", func(t *testing.T) {
		t.Parallel()
		sender, _, _, _ := rotating(t, "")
		_, _, err := sender.Rotate(nil, "", time.Hour)
		require.Equal(t, carillon.CodeConflict, carillon.CodeOf(err))
	})
}

func TestAnExpiredSecretIsStillNotRecorded(t *testing.T) {
	t.Parallel()
	sender, stored, c, _ := rotating(t, "")
	base := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "I knew you as "+markedSecret)
	}), (*httptest.Server).Start)
	kept, _ := rotate(t, sender, stored, "", time.Hour)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(kept, &fields))
	fields["url"] = base
	kept, err := json.Marshal(fields)
	require.NoError(t, err)
	c.set(noon.Add(2 * time.Hour))
	a := sender.Attempt(t.Context(), conformance{format: "standard"}.message(kept, 1))
	require.Equal(t, "I knew you as ••••", a.Response.Body)
}

func TestMasksThatLookAlikeStandForEachSecretOnce(t *testing.T) {
	t.Parallel()
	const first, second = "whsec_b25lLW9uZS1vbmUtb25lLW9uZS1vbmUtdHdpbg==", "whsec_dHdvLXR3by10d28tdHdvLXR3by10d28tdHdpbg=="
	sender, kept, _, _ := rotating(t, `,"previous_secrets":["`+first+`",{"secret":"`+second+`","expires_at":"2026-11-22T12:00:00Z"}]`)
	require.Equal(t, previous(t, sender.Redact(kept))[0]["secret"], previous(t, sender.Redact(kept))[1]["secret"])
	again, _, err := sender.Prepare(sender.Redact(kept), kept)
	require.NoError(t, err)
	require.JSONEq(t, string(kept), string(again))
}

func TestPreviousSecretsThatWereStoredAsStringsGoOnSigning(t *testing.T) {
	t.Parallel()
	sender, kept, c, r := rotating(t, `,"previous_secrets":["`+markedPrevious+`"]`)
	older := carillon.Endpoint(strings.Replace(string(kept), `{"secret":"`+markedPrevious+`"}`, `"`+markedPrevious+`"`, 1))
	require.NotEqual(t, kept, older)
	c.set(noon.AddDate(10, 0, 0))
	require.Equal(t, []bool{true, true}, signers(t, sender, older, c.now(), r, markedSecret, markedPrevious))
	older, _ = rotate(t, sender, older, "", time.Hour)
	require.Len(t, previous(t, older), 2)
}
