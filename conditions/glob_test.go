package conditions

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatchGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "anything", true},
		{"?", "", false},
		{"?", "ä", true},
		{"??", "ä", false},
		{"MyCorp.*", "mycorp.CoolUtils", true},
		{"MyCorp.*", "MyCorp", false},
		{"MyCorp.*", "xMyCorp.CoolUtils", false},
		{"*.Tests", "MyCorp.Tests", true},
		{"*.Tests", "MyCorp.Tests.Unit", false},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"a**c", "ac", true},
		{"*aab", "aaab", true},
		{"*a?c", "abcabc", true},
		{"ÄÖ*", "äöü", true},
		{"straße", "STRASSE", false},
		{"[ab]", "a", false},
		{"[ab]", "[AB]", true},
		{`\*`, "*", false},
		{`\*`, `\x`, true},
		{"{a,b}", "a", false},
		{"a.c", "abc", false},
		{"a\nb", "a\nb", true},
		{"*", "\xff\xfe", true},
		{"?", "\xff", true},
	} {
		require.Equal(t, c.want, matchGlob(c.pattern, c.text), "%q over %q", c.pattern, c.text)
	}
}

func TestGlobTakesLinearTime(t *testing.T) {
	t.Parallel()
	// With backtracking over every star this pattern never ends.
	text := strings.Repeat("a", 1<<20)
	require.False(t, matchGlob(strings.Repeat("a*", 100)+"b", text))
}
