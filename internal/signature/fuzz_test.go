package signature_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/signature"
)

// FuzzParseKey holds that any text is a key or refused, and that neither the
// refusal nor the key shows it.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		secret, "whsk_" + seedHalf, "whpk_" + publicHalf, "whsec_", "whsec_AAAA\n", "whsk_" + seedHalf + publicHalf, "", "whsec_whsec_", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := signature.ParseKey(text)
		if err != nil {
			// What is short can stand in any sentence.
			if encoded := strings.TrimLeft(text, "whsecpk_"); len(encoded) > 8 {
				require.NotContains(t, err.Error(), encoded)
			}
			require.False(t, key.CanSign())
			return
		}
		require.Equal(t, "[key] [key]", fmt.Sprintf("%v %#v", key, key))
		signed := signature.Sign([]signature.Key{key}, "evt_1", signedAt, []byte(text))
		require.Equal(t, key.CanSign(), signed != "")
		if signed != "" {
			require.NoError(t, signature.Verify([]signature.Key{key}, headers("evt_1", signedAt, signed), []byte(text), signedAt, 0))
		}
	})
}

// FuzzVerify holds that nothing verifies but what a key signed: with any
// headers, and any payload but the signed one.
func FuzzVerify(f *testing.F) {
	const payload = `{"type":"ping"}`
	var keys []signature.Key
	for _, text := range []string{secret, "whsk_" + seedHalf} {
		key, err := signature.ParseKey(text)
		require.NoError(f, err)
		keys = append(keys, key)
	}
	good := signature.Sign(keys, "evt_1", signedAt, []byte(payload))
	for _, seed := range [][4]string{
		{"evt_1", "1731705121", good, payload},
		{"evt_1", "1731705121", good, payload + " "},
		{"evt_1.1731705121", "1731705121", good, payload},
		{"evt_1", " 1731705121", good, payload},
		{"evt_1", "+1731705121", "v1, v1a, v1 ,v1 v1,=", payload},
		{"evt_1", "-9223372036854775808", good, payload},
		{"evt_1", "9223372036854775807", good, payload},
		{"", "", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, id, at, signed, body string) {
		header := http.Header{}
		header.Set(signature.HeaderID, id)
		header.Set(signature.HeaderTimestamp, at)
		header.Set(signature.HeaderSignature, signed)
		err := signature.Verify(keys, header, []byte(body), signedAt, 5*time.Minute)
		if err == nil {
			require.Equal(t, []string{"evt_1", payload}, []string{id, body}, "somebody else signed %q", signed)
		}
	})
}
