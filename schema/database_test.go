package schema_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/schema"
)

func TestParse(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name string
		url  string
		want string // part of the error; empty when there is none
	}{
		{"a PostgreSQL URL", "postgres://carillon:s3cretword@db.example.com/carillon", ""},
		{"the long name of the scheme", "postgresql://carillon@db.example.com/carillon", ""},
		{"an escaped password", "postgres://carillon:s3cretword%2F%23@db.example.com/carillon", ""},
		{"an absolute path", "sqlite:/var/lib/carillon/carillon.db", ""},
		{"a relative path", "sqlite:./carillon.db", ""},
		{"a name with the characters of a URL", "sqlite:a?b#c%d e.db", ""},
		{"nothing", "", "neither postgres://"},
		{"another database", "mysql://root:s3cretword@localhost/x", "neither postgres://"},
		{"keywords in place of a URL", "host=localhost password=s3cretword", "neither postgres://"},
		{"no file", "sqlite:", "names no file"},
		{"a database in memory, which every connection would have for itself", "sqlite::memory:", "names no file"},
		{"a slash in the password", "postgres://carillon:s3cretword/x@db.example.com/carillon", "%XX"},
		{"a number sign in the password", "postgres://carillon:s3cretword#x@db.example.com/carillon", "%XX"},
		{"a password that reads like a port", "postgres://carillon:5432#s3cretword@db.example.com/carillon", "%XX"},
		{"a broken escape in the password", "postgres://carillon:s3cretword%zz@db.example.com/carillon", "%XX"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			database, err := schema.Parse(test.url)
			if test.want == "" {
				require.NoError(t, err)
				require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", database, database, database, database), "s3cretword")
				return
			}
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "s3cretword")
		})
	}
}

func TestErrorsDoNotHoldThePassword(t *testing.T) {
	t.Parallel()

	for name, databaseURL := range map[string]string{
		"nobody listens":              "postgres://carillon:s3cret%2Fword@127.0.0.1:1/carillon",
		"an option that is not known": "postgres://carillon:s3cret%2Fword@127.0.0.1:1/carillon?sslmode=s3cret%2Fword",
		"a password as an option":     "postgres://127.0.0.1:1/carillon?password=s3cret%2Fword&sslmode=s3cret%2Fword",
		"a port that is none":         "postgres://carillon:s3cret%2Fword@127.0.0.1/carillon?port=s3cret%2Fword",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := schema.Migrate(t.Context(), databaseURL)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestAFileMayHaveAnyName(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "a?b#c%d e.db")
	_, err := schema.Migrate(t.Context(), "sqlite:"+path)
	require.NoError(t, err)
	require.FileExists(t, path)
}
