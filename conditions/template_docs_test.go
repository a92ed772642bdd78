package conditions_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/conditions"
)

func TestTemplatesOfTheDocumentationWriteWhatItSays(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/templates.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^`([a-z._]+)`:\n```template ([a-z]+)\n(.*?)\n```\n```result\n(.*?)\n```$").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, strings.Count(string(page), "```template"))
	require.Greater(t, len(blocks), 4)
	types, err := catalog.Load()
	require.NoError(t, err)
	for _, b := range blocks {
		known, ok := types.Type(b[1])
		require.True(t, ok, b[1])
		template, err := newTemplates(t).Compile(conditions.Source{Text: b[3], Mode: conditions.Mode(b[2])}, []string{b[1]})
		require.NoError(t, err, b[3])
		got, err := template.Render(t.Context(), templateInput(t, known.Example))
		require.NoError(t, err, b[3])
		require.Equal(t, b[4], string(got))
	}
}
