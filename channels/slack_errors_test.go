package channels

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

func TestSlacksErrorsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/slack.md")
	require.NoError(t, err)
	for word, trouble := range slackTroubles {
		require.Regexp(t, slackWord, word)
		require.Contains(t, string(page), fmt.Sprintf("| `%s` | %s | %s |\n", word, trouble.outcome, trouble.text))
	}
}

func TestALinkIsOneOrNone(t *testing.T) {
	t.Parallel()
	for link, want := range map[messages.Link]string{
		{Label: "Read on", URL: "https://example.com/a?b=c&d=<e>|f"}: "<https://example.com/a?b=c&amp;d=&lt;e&gt;%7Cf|Read on>",
		{Label: "a|b <c>", URL: "http://example.com/x y"}:            "<http://example.com/x%20y|a¦b &lt;c&gt;>",
		{URL: "https://example.com/"}:                                "<https://example.com/|example.com>",
		{Label: "none"}:                                              "",
		{Label: "x", URL: "javascript:alert(1)"}:                     "",
		{Label: "x", URL: "https:///x"}:                              "",
		{Label: "x", URL: "https://example.com/\x00"}:                "",
	} {
		got, ok := slackLink(link)
		require.Equal(t, want != "", ok, link)
		if ok {
			require.Equal(t, want, got)
		}
	}
}

func TestFactsThatAreTooManyAreCounted(t *testing.T) {
	t.Parallel()
	var told messages.Message
	for i := range 100 {
		told.Facts = append(told.Facts, messages.Fact{Label: fmt.Sprint("fact ", i), Value: "x"})
	}
	m := newSlackMessage(told, &carillon.Event{Type: "package.added"})
	require.Equal(t, "…", m.Blocks[0].Text.Text)
	blocks := m.Attachments[0].Blocks
	require.Len(t, blocks, 6)
	require.Len(t, blocks[3].Fields, 10)
	require.Equal(t, "… and 60 more", blocks[4].Text.Text)
	require.Equal(t, "package.added", blocks[5].Elements[0].Text)
	require.Equal(t, "#6E7781", m.Attachments[0].Color)
	for level, urgent := range map[messages.Level]bool{messages.Good: false, messages.Neutral: false, messages.Warning: false, messages.Failed: true, messages.High: true, messages.Critical: true} {
		require.Equal(t, urgent, isUrgentSlack(level))
	}
}
