package carillon_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const module = "github.com/carillon-dev/carillon"

// anyInternal and anything are wildcards in [mayImport].
const (
	anyInternal = "internal/*"
	anything    = "*"
)

// mayImport says which packages of this module a package may import, test
// files excepted; "." is the root package. A package that is not here may not
// exist: adding a room is a decision, and this is where it is written down.
var mayImport = map[string][]string{
	".":                  {},
	"schema":             {},
	"config":             {},
	"web":                {},
	"internal/safehttp":  {},
	"internal/seal":      {},
	"internal/signature": {},
	"internal/receiver":  {},

	"catalog":    {"."},
	"conditions": {".", "catalog"},
	// Standard Webhooks is a scheme of inbound requests, too.
	"sources":  {".", "catalog", "internal/signature"},
	"store":    {".", "schema"},
	"client":   {".", "internal/signature"},
	"formats":  {".", "conditions", "catalog", "internal/signature"},
	"messages": {".", "conditions", "catalog"},
	"channels": {".", "conditions", "formats", "messages", "internal/safehttp", "internal/signature"},

	"matching":         {".", "conditions"},
	"activities":       {".", "conditions", "matching", "channels", "formats", "messages", "internal/history"},
	"workflows":        {".", "activities"},
	"internal/history": {"."},
	"worker":           {"workflows", "activities"},
	"api": {
		".", "catalog", "conditions", "matching", "messages", "sources", "channels", "formats", "workflows", "internal/history", "web",
	},

	"internal/dbtest":  {"schema"},
	"internal/dnstest": {},
	// Test receivers: the catalog says which names a product has, and what data is.
	"internal/strict": {".", "catalog"},
	"bench":           {".", "client", anyInternal},
	"e2e":             {".", "client", anyInternal},
	"cmd/carillon":    {anything},
}

// noNoun are package names that say nothing of what lives there.
var noNoun = []string{"util", "utils", "common", "helper", "helpers", "models", "types", "pkg", "misc", "base"}

// notInWorkflows are imports with which workflow code could tell one execution
// from another: clocks come from the SDK, everything else from an activity.
var notInWorkflows = []string{
	"net", "os", "database/sql", "math/rand", "crypto/rand", "github.com/jmoiron/sqlx", "github.com/google/cel-go",
}

func TestPackagesImportOnlyWhatTheirRowAllows(t *testing.T) {
	t.Parallel()

	found, err := violations(os.DirFS("."))
	require.NoError(t, err)
	require.Empty(t, found, "the import table is mayImport in imports_test.go")
}

func TestRowsNameKnownPackages(t *testing.T) {
	t.Parallel()

	for room, allowed := range mayImport {
		for _, name := range allowed {
			if name == anyInternal || name == anything {
				continue
			}
			require.Contains(t, mayImport, name, "row of %s", room)
		}
	}
}

func TestViolations(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name string
		file string
		text string
		want string
	}{
		{"a row's imports are allowed", "store/event.go",
			`package store; import ("` + module + `"; "` + module + `/schema")`, ""},
		{"an import outside the row is named with its place", "store/event.go",
			"package store\n\nimport _ \"" + module + "/api\"\n",
			"store/event.go:3: store may not import api"},
		{"the root keeps to the standard library", "event.go",
			`package carillon; import "github.com/google/uuid"`,
			"event.go:1: the root package may import the standard library only, not github.com/google/uuid"},
		{"other rooms may use other modules", "store/event.go",
			`package store; import "github.com/jmoiron/sqlx"`, ""},
		{"test files are free", "store/event_test.go",
			`package store; import "` + module + `/api"`, ""},
		{"a wildcard covers internal packages", "e2e/story.go",
			`package e2e; import "` + module + `/internal/receiver"`, ""},
		{"a wildcard covers internal packages only", "e2e/story.go",
			`package e2e; import "` + module + `/store"`, "e2e/story.go:1: e2e may not import store"},
		{"the commands wire everything", "cmd/carillon/serve.go",
			`package main; import "` + module + `/store"`, ""},
		{"a package without a row may not exist", "email/send.go",
			`package email`, "email: not in the import table"},
		{"a name without a noun may not exist", "store/utils/strings.go",
			`package utils`, "store/utils: a package is named after what it holds"},
		{"workflow code keeps away from the network", "workflows/dispatch.go",
			`package workflows; import "net/http"`, "workflows/dispatch.go:1: workflow code may not import net/http"},
		{"a nested module is not looked at", "devserver/main.go",
			`package main; import "` + module + `/store"`, ""},
		{"testdata is not looked at", "store/testdata/broken.go", `not Go`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			found, err := violations(fstest.MapFS{
				"go.mod":           {Data: []byte("module " + module)},
				"devserver/go.mod": {Data: []byte("module " + module + "/devserver")},
				test.file:          {Data: []byte(test.text)},
			})
			require.NoError(t, err)
			if test.want == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Contains(t, found[0], test.want)
		})
	}
}

// violations reads the tree itself: the answer of `go list` would be cached by
// the test runner, which sees no dependency on files that are not opened.
func violations(tree fs.FS) ([]string, error) {
	var found []string
	rooms := make(map[string]bool)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(tree, name)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		room := path.Dir(name)
		if !rooms[room] {
			rooms[room] = true
			found = append(found, checkName(room)...)
		}
		problems, err := checkFile(tree, room, name)
		found = append(found, problems...)
		return err
	})
	return found, err
}

func skip(tree fs.FS, dir string) error {
	base := path.Base(dir)
	if dir == "." {
		return nil
	}
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func checkName(room string) []string {
	for part := range strings.SplitSeq(room, "/") {
		if slices.Contains(noNoun, part) {
			return []string{room + ": a package is named after what it holds, not " + part}
		}
	}
	if _, ok := mayImport[room]; !ok {
		return []string{room + ": not in the import table"}
	}
	return nil
}

func checkFile(tree fs.FS, room, name string) ([]string, error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if problem := checkImport(room, imported); problem != "" {
			found = append(found, fmt.Sprintf("%s:%d: %s", name, files.Position(spec.Pos()).Line, problem))
		}
	}
	return found, nil
}

func checkImport(room, imported string) string {
	if room == "workflows" {
		for _, forbidden := range notInWorkflows {
			if imported == forbidden || strings.HasPrefix(imported, forbidden+"/") {
				return "workflow code may not import " + imported
			}
		}
	}
	ours, ok := ourPackage(imported)
	if !ok {
		if host, _, _ := strings.Cut(imported, "/"); room == "." && strings.Contains(host, ".") {
			return "the root package may import the standard library only, not " + imported
		}
		return ""
	}
	allowed, ok := mayImport[room]
	if !ok || slices.Contains(allowed, ours) || slices.Contains(allowed, anything) {
		return "" // a room without a row was reported already
	}
	if strings.HasPrefix(ours, "internal/") && slices.Contains(allowed, anyInternal) {
		return ""
	}
	return fmt.Sprintf("%s may not import %s", room, ours)
}

// ourPackage returns the folder of a package of this module, "." for the root.
func ourPackage(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}
