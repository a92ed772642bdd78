package store_test

import (
	"database/sql"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/schema"
)

func guarded() carillon.Source {
	src := newSource("src_1", "registry")
	src.Authentication = carillon.SourceAuthentication{
		Scheme: "basic", Username: "registry", Secret: "s3cret-of-now", PreviousSecret: "s3cret-of-before",
	}
	return src
}

// keptAuthentication reads the column as it is.
func keptAuthentication(t *testing.T, databaseURL string) string {
	t.Helper()
	database, err := schema.Parse(databaseURL)
	require.NoError(t, err)
	db, err := database.Open()
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var kept sql.NullString
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT authentication FROM sources`).Scan(&kept))
	return kept.String
}

func TestASourcesSecretsAreSealed(t *testing.T) {
	t.Parallel()

	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		ctx := t.Context()
		s := openStore(t, databaseURL)
		created, err := s.CreateSource(ctx, guarded(), "admin")
		require.NoError(t, err)
		require.NotContains(t, keptAuthentication(t, databaseURL), "s3cret")
		got, err := s.Source(ctx, "registry")
		require.NoError(t, err)
		require.Equal(t, guarded().Authentication, got.Authentication)
		all, err := s.Sources(ctx)
		require.NoError(t, err)
		require.Equal(t, []carillon.Source{got}, all)

		rotated := got
		rotated.Authentication.Secret = "s3cret-of-later"
		_, err = s.UpdateSource(ctx, rotated, created.Version, "admin")
		require.NoError(t, err)
		got, err = s.Source(ctx, "registry")
		require.NoError(t, err)
		require.Equal(t, "s3cret-of-later", got.Authentication.Secret)

		got.Authentication = carillon.SourceAuthentication{}
		_, err = s.UpdateSource(ctx, got, 0, "admin")
		require.NoError(t, err)
		require.Empty(t, keptAuthentication(t, databaseURL))
		require.NoError(t, s.DeleteSource(ctx, "registry", 0, "admin", noon))

		entries, err := s.Audit(ctx, carillon.AuditFilter{Object: "src_1", Limit: 10})
		require.NoError(t, err)
		require.Len(t, entries, 4)
		var texts string
		for _, e := range entries {
			texts += e.Detail + string(e.Before) + string(e.After)
		}
		require.Contains(t, texts, "with its secrets")
		require.Contains(t, texts, `"secrets":2`)
		require.NotContains(t, texts, "s3cret")
		printed, err := json.Marshal(created)
		require.NoError(t, err)
		require.NotContains(t, string(printed), "s3cret")
	})
}

func TestASourceWhoseKeyIsGoneKeepsItsSecrets(t *testing.T) {
	t.Parallel()

	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		ctx := t.Context()
		_, err := openStore(t, databaseURL).CreateSource(ctx, guarded(), "admin")
		require.NoError(t, err)
		kept := keptAuthentication(t, databaseURL)

		s := openStore(t, databaseURL) // with another key
		got, err := s.Source(ctx, "registry")
		require.NoError(t, err)
		require.True(t, got.Unreadable)
		require.Zero(t, got.Authentication)
		got.Scope = map[string]string{"feed": "other"}
		_, err = s.UpdateSource(ctx, got, 0, "admin")
		require.NoError(t, err)
		require.Equal(t, kept, keptAuthentication(t, databaseURL))

		got.Authentication, got.Unreadable = guarded().Authentication, false
		_, err = s.UpdateSource(ctx, got, 0, "admin")
		require.NoError(t, err)
		got, err = s.Source(ctx, "registry")
		require.NoError(t, err)
		require.False(t, got.Unreadable)
		require.Equal(t, guarded().Authentication, got.Authentication)
	})
}
