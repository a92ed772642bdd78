package carillon_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)[/`]")
	definedTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// A promise without its test is a hope.
func TestEveryPromiseNamesATest(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	defined := map[string]bool{}
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		for _, found := range definedTest.FindAllStringSubmatch(string(source), -1) {
			defined[found[1]] = true
		}
		return err
	}))
	named := namedTest.FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(named), 20)
	for _, found := range named {
		require.True(t, defined[found[1]], "docs/security.md names %s, which there is not", found[1])
	}
}
