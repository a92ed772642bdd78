package seal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/carillon-dev/carillon/internal/seal"
)

func codec(t *testing.T, keys ...string) *seal.Codec {
	t.Helper()
	c, err := seal.NewCodec(strings.Join(keys, ","))
	require.NoError(t, err)
	return c
}

// payload is one as the SDK writes it.
func payload(t *testing.T, value any) *commonpb.Payload {
	t.Helper()
	p, err := converter.GetDefaultDataConverter().ToPayload(value)
	require.NoError(t, err)
	return p
}

func encode(t *testing.T, c *seal.Codec, p *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	encoded, err := c.Encode([]*commonpb.Payload{p})
	require.NoError(t, err)
	require.Len(t, encoded, 1)
	return encoded[0]
}

func decode(t *testing.T, c *seal.Codec, p *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	decoded, err := c.Decode([]*commonpb.Payload{p})
	require.NoError(t, err)
	require.Len(t, decoded, 1)
	return decoded[0]
}

func TestAPayloadOpensAsItWas(t *testing.T) {
	t.Parallel()
	c := codec(t, seal.NewKey())
	require.True(t, c.Seals())
	for _, value := range []any{nil, "marked", []byte("marked"), map[string]string{"marked": strings.Repeat("marked", 1000)}} {
		p := payload(t, value)
		encoded := encode(t, c, p)
		require.NotContains(t, encoded.String(), "marked")
		require.NotContains(t, string(encoded.GetData()), "marked")
		require.Equal(t, "binary/encrypted", string(encoded.GetMetadata()["encoding"]))
		require.Equal(t, c.Keys()[0], string(encoded.GetMetadata()["encryption-key-id"]))
		require.True(t, proto.Equal(p, decode(t, c, encoded)))
		require.NotEqual(t, encoded.GetData(), encode(t, c, p).GetData(), "it differs each time")
	}
}

func TestWhatWasNeverSealedStays(t *testing.T) {
	t.Parallel()
	p := payload(t, "marked")
	for name, c := range map[string]*seal.Codec{"with a key": codec(t, seal.NewKey()), "without": codec(t)} {
		require.True(t, proto.Equal(p, decode(t, c, p)), name)
	}
	for name, c := range map[string]*seal.Codec{"without a key": codec(t), "plain first": codec(t, "plain", seal.NewKey())} {
		require.False(t, c.Seals(), name)
		require.Equal(t, p, encode(t, c, p), name)
	}
}

func TestACodecsFirstKeySealsAndAllOpen(t *testing.T) {
	t.Parallel()
	older, newer := seal.NewKey(), seal.NewKey()
	p := payload(t, "marked")
	old := encode(t, codec(t, older), p)
	for name, keys := range map[string][]string{
		"added behind": {older, newer}, "put in front": {newer, older}, "turned off": {"plain", older},
	} {
		require.True(t, proto.Equal(p, decode(t, codec(t, keys...), old)), name)
	}
	renewed := encode(t, codec(t, newer, older), p)
	require.True(t, proto.Equal(p, decode(t, codec(t, newer), renewed)))
	for name, c := range map[string]*seal.Codec{"another key": codec(t, older), "no key": codec(t)} {
		_, err := c.Decode([]*commonpb.Payload{renewed})
		require.ErrorIs(t, err, seal.ErrUnknownKey, name)
		require.ErrorContains(t, err, codec(t, newer).Keys()[0], "it names the key, and is not it")
	}
}

func TestACodecRefusesWhatWasChanged(t *testing.T) {
	t.Parallel()
	c := codec(t, seal.NewKey())
	for at := range 40 {
		sealed := encode(t, c, payload(t, "marked"))
		sealed.Data[at] ^= 1
		_, err := c.Decode([]*commonpb.Payload{sealed})
		require.Error(t, err, "byte %d", at)
	}
	for n := range 20 {
		sealed := encode(t, c, payload(t, "marked"))
		sealed.Data = sealed.Data[:n]
		_, err := c.Decode([]*commonpb.Payload{sealed})
		require.ErrorIs(t, err, seal.ErrDamaged, "%d bytes", n)
	}
}

func TestNewCodecSaysWhichKeyIsWrongAndNotWhatItIs(t *testing.T) {
	t.Parallel()
	key := seal.NewKey()
	for name, tc := range map[string]struct{ keys, says string }{
		"no base64":        {key + ",s3cr3t!", "codec key 2 is not standard base64; make one with: openssl rand -base64 32"},
		"too short":        {"c2hvcnQ=", "codec key 1 has 5 bytes instead of 32"},
		"twice":            {key + "," + key, "codec key 2 is given twice"},
		"plain behind":     {key + ",plain", "codec key 2 is not standard base64"},
		"an empty one":     {key + ",", "codec key 2 has 0 bytes"},
		"plain, and wrong": {"plain,s3cr3t!", "codec key 1 is not standard base64"},
	} {
		_, err := seal.NewCodec(tc.keys)
		require.ErrorContains(t, err, tc.says, name)
		require.NotContains(t, err.Error(), "s3cr3t", name)
		require.NotContains(t, err.Error(), key, name)
	}
	c := codec(t, key)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", c, c, c, c), key)
}
