package conditions_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/conditions"
)

func TestExamplesOfTheDocumentationCompile(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/conditions.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^```cel\n(.*?)^```$").FindAllSubmatch(page, -1)
	require.Greater(t, len(blocks), 10)
	env := newEnvironment(t)
	input, err := conditions.NewInput(sampleEvent())
	require.NoError(t, err)
	for _, block := range blocks {
		condition, err := env.Compile(string(block[1]))
		require.NoError(t, err, "%s", block[1])
		// That it runs is what counts; whether it matches is the example's.
		_, _ = condition.Match(t.Context(), input)
	}
}
