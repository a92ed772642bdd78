package seal_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/seal"
)

func ring(t *testing.T, keys ...string) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(strings.Join(keys, ","))
	require.NoError(t, err)
	return r
}

func TestWhatIsSealedOpensAgain(t *testing.T) {
	t.Parallel()
	r := ring(t, seal.NewKey())
	for _, plaintext := range []string{"", "x", strings.Repeat("marked", 1000), "\x00\xff"} {
		sealed, err := r.Seal([]byte(plaintext), "subscription/sub_1")
		require.NoError(t, err)
		require.NotContains(t, sealed, "marked")
		opened, err := r.Open(sealed, "subscription/sub_1")
		require.NoError(t, err)
		require.Equal(t, plaintext, string(opened))
	}
}

func TestTheSameSecretSealsDifferentlyEachTime(t *testing.T) {
	t.Parallel()
	r := ring(t, seal.NewKey())
	first, err := r.Seal([]byte("marked"), "a")
	require.NoError(t, err)
	second, err := r.Seal([]byte("marked"), "a")
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}

func TestTheFirstKeySealsAndAllOpen(t *testing.T) {
	t.Parallel()
	older, newer := seal.NewKey(), seal.NewKey()
	sealed, err := ring(t, older).Seal([]byte("marked"), "a")
	require.NoError(t, err)

	rotated := ring(t, newer, older)
	opened, err := rotated.Open(sealed, "a")
	require.NoError(t, err)
	require.Equal(t, "marked", string(opened))

	sealed, err = rotated.Seal([]byte("marked"), "a")
	require.NoError(t, err)
	_, err = ring(t, newer).Open(sealed, "a")
	require.NoError(t, err)
	_, err = ring(t, older).Open(sealed, "a")
	require.ErrorIs(t, err, seal.ErrUnknownKey)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	r := ring(t, seal.NewKey())
	sealed, err := r.Seal([]byte("marked"), "subscription/sub_1")
	require.NoError(t, err)
	id, encoded, _ := strings.Cut(sealed, ".")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	raw[len(raw)-1] ^= 1
	for name, tc := range map[string]struct {
		sealed, context string
		want            error
	}{
		"another context":       {sealed, "subscription/sub_2", seal.ErrDamaged},
		"one changed bit":       {id + "." + base64.StdEncoding.EncodeToString(raw), "subscription/sub_1", seal.ErrDamaged},
		"a part":                {sealed[:len(sealed)-8], "subscription/sub_1", seal.ErrDamaged},
		"fewer than nonce size": {id + ".AAAA", "subscription/sub_1", seal.ErrDamaged},
		"no base64":             {id + ".!", "subscription/sub_1", seal.ErrDamaged},
		"plain text":            {"marked", "subscription/sub_1", seal.ErrDamaged},
		"nothing":               {"", "subscription/sub_1", seal.ErrDamaged},
		"an unknown key":        {"00000000." + encoded, "subscription/sub_1", seal.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r.Open(tc.sealed, tc.context)
			require.ErrorIs(t, err, tc.want)
			require.NotContains(t, err.Error(), "marked")
		})
	}
}

func TestNewRingSaysWhichKeyIsWrongWithoutShowingIt(t *testing.T) {
	t.Parallel()
	good, short := seal.NewKey(), base64.StdEncoding.EncodeToString([]byte("marked"))
	for name, tc := range map[string]struct{ keys, want string }{
		"nothing":         {"", "secret key 1 has 0 bytes instead of 32; make one with: openssl rand -base64 32"},
		"too short":       {good + "," + short, "secret key 2 has 6 bytes instead of 32; make one with: openssl rand -base64 32"},
		"not base64":      {"marked!", "secret key 1 is not standard base64; make one with: openssl rand -base64 32"},
		"the same twice":  {good + ", " + good, "secret key 2 is given twice"},
		"an empty second": {good + ",", "secret key 2 has 0 bytes instead of 32; make one with: openssl rand -base64 32"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := seal.NewRing(tc.keys)
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestARingNeverPrintsItself(t *testing.T) {
	t.Parallel()
	r := ring(t, seal.NewKey())
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, "[ring]", fmt.Sprintf(format, r))
	}
}

func TestARingTellsItsKeysById(t *testing.T) {
	t.Parallel()
	older, newer := seal.NewKey(), seal.NewKey()
	old, both := ring(t, older), ring(t, newer, older)
	sealed, err := old.Seal([]byte("marked"), "a")
	require.NoError(t, err)
	require.Equal(t, old.Newest(), both.KeyOf(sealed))
	require.NotEqual(t, old.Newest(), both.Newest())
	require.Equal(t, []string{both.Newest(), old.Newest()}, both.Keys())
	require.Empty(t, both.KeyOf("no sealed text"))
	require.NotContains(t, older, old.Newest())
}
