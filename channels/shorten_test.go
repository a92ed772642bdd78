package channels

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/messages"
)

func TestATextIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		size int
		want string
	}{
		{"short", 5, "short"},
		{"longer text", 9, "longer…"},
		{"longer text", 10, "longer…"},
		{"ab👩‍👩‍👧‍👦cd", 20, "ab…"},
		{"e\u0301e\u0301e\u0301e\u0301", 10, "e\u0301e\u0301…"},
		{"🇩🇪🇫🇷🇮🇹", 12, "🇩🇪…"},
		{"abc", 2, ""},
		{"", 0, ""},
	} {
		require.Equal(t, test.want, shortenTo(test.text, test.size), test.text)
	}
}

// random is a message with parts of up to the sizes.
func random(r *rand.Rand, sizes ...int) messages.Message {
	text := func(most int) string {
		characters := []rune("abc def.\\\"<>&пакет包裹👩‍👩‍👧‍👦🏽e\u0301^{}[~]|€–’…")
		var b strings.Builder
		for want := r.IntN(most + 1); b.Len() < want; {
			b.WriteRune(characters[r.IntN(len(characters))])
		}
		return b.String()
	}
	m := messages.Message{Title: "T" + text(sizes[0]), Text: text(sizes[1]), Level: messages.Good}
	for range r.IntN(1 + sizes[2]) {
		m.Facts = append(m.Facts, messages.Fact{Label: "L" + text(sizes[3]), Value: "V" + text(sizes[4])})
	}
	if r.IntN(4) > 0 {
		m.Link = messages.Link{Label: text(20), URL: "https://example.com/" + strings.Repeat("x", r.IntN(sizes[5]))}
	}
	return m
}

func TestWhateverAMessageHoldsACardOfItFits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		m := random(r, 4000, 60_000, 200, 400, 4000, 3000)
		for _, kind := range []string{teamsWorkflow, teamsConnector} {
			body := card(kind, m).Body
			require.LessOrEqual(t, len(body), maxTeamsBytes)
			require.True(t, utf8.Valid(body))
		}
	}
}
