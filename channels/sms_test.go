package channels

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/messages"
)

func TestSegmentsAreCountedAsPhonesPutThemTogether(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want int
	}{
		{"", 1},
		{strings.Repeat("a", 160), 1},
		{strings.Repeat("a", 161), 2},
		{strings.Repeat("a", 306), 2},
		{strings.Repeat("a", 307), 3},
		{strings.Repeat("€", 80), 1},
		{strings.Repeat("€", 81), 2},
		// 153 septets hold 76 of two, and one stays empty.
		{strings.Repeat("€", 152), 2},
		{strings.Repeat("€", 153), 3},
		{strings.Repeat("я", 70), 1},
		{strings.Repeat("я", 71), 2},
		{strings.Repeat("я", 134), 2},
		{strings.Repeat("я", 135), 3},
		{strings.Repeat("a", 70) + "я", 2},
		{strings.Repeat("🔔", 35), 1},
		{strings.Repeat("🔔", 36), 2},
		// 67 units hold 33 of two.
		{strings.Repeat("🔔", 66), 2},
		{strings.Repeat("🔔", 67), 3},
	} {
		require.Equal(t, test.want, segments(test.text), "%d of %.4s", utf8.RuneCountInString(test.text), test.text)
	}
}

func TestAnSMSIsATitleWithALink(t *testing.T) {
	t.Parallel()
	link := messages.Link{URL: "https://example.com/p"}
	for _, test := range []struct {
		title string
		link  messages.Link
		want  string
	}{
		{"left-pad 1.3.0 was added", link, "left-pad 1.3.0 was added\nhttps://example.com/p"},
		{"left-pad 1.3.0 was added", messages.Link{}, "left-pad 1.3.0 was added"},
		{"“left-pad” – new…", messages.Link{}, `"left-pad" - new...`},
		{strings.Repeat("a", 200), link, strings.Repeat("a", 160-len(gsmEllipsis)-1-len(link.URL)) + "...\nhttps://example.com/p"},
		{strings.Repeat("я", 200), messages.Link{}, strings.Repeat("я", 69) + "…"},
		{"left-pad was added", messages.Link{URL: "https://example.com/" + strings.Repeat("x", 200)}, "left-pad was added"},
	} {
		require.Equal(t, test.want, smsText(messages.Message{Title: test.title, Link: test.link}, 1))
	}
}

func TestWhateverAMessageHoldsAnSMSOfItFits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		m := random(r, 1+r.IntN(3000), 10, 1, 10, 10, 1000)
		most := leastSegments + r.IntN(mostSegments)
		text := smsText(m, most)
		require.LessOrEqual(t, segments(text), most, text)
		require.LessOrEqual(t, len(utf16.Encode([]rune(text))), maxSMSUnits)
		require.True(t, utf8.ValidString(text))
		require.NotEmpty(t, text)
	}
}

func TestWhateverAMessageHoldsAPostOfItFits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		text := xText(random(r, 1+r.IntN(1000), 10, 1, 10, 10, 1000))
		require.LessOrEqual(t, weight(text), maxPost, text)
		require.True(t, utf8.ValidString(text))
		require.NotEmpty(t, text)
	}
}

func TestCharactersOfAPostAreWeighed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want int
	}{
		{"abc", 3},
		{"пакет", 5},
		{"包裹", 4},
		{"…", 2},
		{"https://example.com/" + strings.Repeat("x", 300), 23},
		{"see https://example.com/a, too", 4 + 23 + 5},
		{"MyCorp.Net is a host's name", 23 + 17},
		{"Newtonsoft.Json is none", 23},
		{"http://registry.internal/a", 26},
	} {
		require.Equal(t, test.want, weight(test.text), test.text)
	}
}
