package channels

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMask(t *testing.T) {
	t.Parallel()
	for secret, want := range map[string]string{
		"": "", "x": "••••", "12345678901": "••••", "123456789012": "•••• 9012", "ééééééééabcd": "•••• abcd",
	} {
		require.Equal(t, want, mask(secret))
		require.Equal(t, secret != "", isMask(mask(secret)))
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	s := newScrub(`s3cr<t "quoted"`, "s3cr", "abc", "", "päth/to?x")
	for name, tc := range map[string]struct{ text, want string }{
		"nothing secret":                {"hello", "hello"},
		"a secret":                      {"the s3cr is", "the •••• is"},
		"the longest wins":              {`a s3cr<t "quoted" b`, "a •••• b"},
		"as JSON writes it":             {`{"v":"s3cr\u003ct \"quoted\""}`, `{"v":"••••"}`},
		"as a query writes it":          {"v=s3cr%3Ct+%22quoted%22&", "v=••••&"},
		"as a path writes it":           {"/p%C3%A4th%2Fto%3Fx/", "/••••/"},
		"as HTML writes it":             {"<p>s3cr&lt;t &#34;quoted&#34;</p>", "<p>••••</p>"},
		"too short to be searched for":  {"abc", "abc"},
		"again and again":               {"s3crs3cr", "••••••••"},
		"a beginning alone is no match": {"s3c", "s3c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, s.text(tc.text))
		})
	}
}

func TestScrubOfACutTextLeavesNoBeginningOfASecret(t *testing.T) {
	t.Parallel()
	s := newScrub("marked-secret", "kedge", "xxkedg")
	for text, want := range map[string]string{
		"hello": "hello", "hello m": "hello ", "hello marked-secre": "hello ", "hello marked-secret": "hello ••••", "hello mark": "hello ", "a ked": "a ", "": "", "a xxkedg": "a ",
	} {
		require.Equal(t, want, s.cut(text), text)
	}
	require.Equal(t, "x", newScrub().cut("x"))
}
