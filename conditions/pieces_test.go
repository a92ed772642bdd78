package conditions_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/conditions"
)

func TestPiecesAreTheTextAsItWasWritten(t *testing.T) {
	t.Parallel()
	pieces, ok := conditions.Pieces("a$${b}c${data.x}${'}'}d")
	require.True(t, ok)
	require.Equal(t, []conditions.Piece{
		{Text: "a$${b}c"}, {Text: "${data.x}", Expression: true}, {Text: "${'}'}", Expression: true}, {Text: "d"},
	}, pieces)
	for _, text := range []string{"", "a", "${a}", "$${", "${a}${b}", "é${a}é", "a$$${b}"} {
		pieces, ok := conditions.Pieces(text)
		require.True(t, ok, text)
		var whole strings.Builder
		for _, p := range pieces {
			whole.WriteString(p.Text)
		}
		require.Equal(t, text, whole.String())
	}
	_, ok = conditions.Pieces("a${b")
	require.False(t, ok)
}
