package formats_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/formats"
)

var update = flag.Bool("update", false, "write the generated parts of docs/formats.md anew")

func TestTheTablesInTheDocsAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "docs", "formats.md")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	want := withPart(t, string(text), "formats", formatsTable(t))
	want = withPart(t, want, "types", typesTable())
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, string(text), "`make generate` writes them")
}

// withPart puts a part of the page in the place of the one that is there.
func withPart(t *testing.T, page, name, part string) string {
	t.Helper()
	begin := "<!-- " + name + ": generated, `make generate` -->\n"
	before, rest, ok := strings.Cut(page, begin)
	require.True(t, ok, name)
	_, after, ok := strings.Cut(rest, "<!-- end -->\n")
	require.True(t, ok, name)
	return before + begin + part + "<!-- end -->\n" + after
}

func formatsTable(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("| Format | Sends | Headers | `format_options` |\n| --- | --- | --- | --- |\n")
	for _, name := range formats.Names() {
		about := lookup(t, name).Describe()
		var headers, options []string
		for _, h := range about.Headers {
			headers = append(headers, fmt.Sprintf("`%s`: %s", h.Name, h.Text))
		}
		for _, o := range about.Options {
			values := o.Text
			if len(o.Values) > 0 {
				values = "`" + strings.Join(o.Values, "`, `") + "`"
			}
			options = append(options, fmt.Sprintf("`%s`: %s", o.Name, values))
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", name, about.Text, strings.Join(headers, "<br>"), strings.Join(options, "<br>"))
	}
	return out.String()
}

func typesTable() string {
	var out strings.Builder
	out.WriteString("| Type | `" + strings.Join(catalog.Products, "` | `") + "` |\n|" + strings.Repeat(" --- |", 1+len(catalog.Products)) + "\n")
	for _, typ := range types.Types() {
		if len(typ.Products) == 0 {
			continue
		}
		fmt.Fprintf(&out, "| `%s` |", typ.Name)
		for _, product := range catalog.Products {
			out.WriteString(" " + typ.Products[product] + " |")
		}
		out.WriteString("\n")
	}
	return out.String()
}
