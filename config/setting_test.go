package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEverySettingIsDeclaredInFull(t *testing.T) {
	t.Parallel()
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			require.True(t, strings.HasPrefix(s.name, prefix))
			require.Contains(t, units, s.unit)
			require.NotEmpty(t, s.doc)
			require.NotContains(t, s.doc, "|", "it stands in a table")
		})
	}
}
