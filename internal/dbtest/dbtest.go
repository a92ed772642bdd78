// Package dbtest gives tests databases of their own, fresh and migrated, which
// go with the test. It knows where databases come from and nothing of what is
// in them; no two tests ever share one.
//
// SQLite is always there. PostgreSQL is used when CARILLON_TEST_POSTGRES_URL
// names a server on which databases may be made (.ci/postgres starts one).
// Without it tests run on SQLite alone, which is said once; with
// CARILLON_TEST_REQUIRE=all they fail instead.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-dev/carillon/schema"
)

// The environment of tests.
const (
	// PostgresEnv holds the URL of a PostgreSQL server for tests.
	PostgresEnv = "CARILLON_TEST_POSTGRES_URL"
	// RequireEnv makes every missing part fatal when it is "all".
	RequireEnv = "CARILLON_TEST_REQUIRE"
)

// setupTimeout bounds the making of one database, on a busy machine.
const setupTimeout = time.Minute

// Each runs test as parallel subtests named after the databases, each with the
// URL of a migrated database of its own.
func Each(t *testing.T, test func(t *testing.T, databaseURL string)) {
	t.Helper()
	each(t, func(t *testing.T, databaseURL string) {
		migrate(t, databaseURL)
		test(t, databaseURL)
	})
}

// EachEmpty is [Each] with databases that have not been migrated.
func EachEmpty(t *testing.T, test func(t *testing.T, databaseURL string)) {
	t.Helper()
	each(t, test)
}

// SQLite returns the URL of a migrated SQLite database of the test's own.
func SQLite(t testing.TB) string {
	t.Helper()
	databaseURL := emptySQLite(t)
	migrate(t, databaseURL)
	return databaseURL
}

// Postgres returns the URL of a migrated PostgreSQL database of the test's
// own, and false where there is no PostgreSQL.
func Postgres(t testing.TB) (databaseURL string, ok bool) {
	t.Helper()
	server := postgresServer(t)
	if server == "" {
		return "", false
	}
	databaseURL = emptyPostgres(t, server)
	migrate(t, databaseURL)
	return databaseURL, true
}

func each(t *testing.T, test func(t *testing.T, databaseURL string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, emptySQLite(t))
	})
	if server := postgresServer(t); server != "" {
		t.Run("postgres", func(t *testing.T) {
			t.Parallel()
			test(t, emptyPostgres(t, server))
		})
	}
}

var sayOnce sync.Once

// postgresServer returns the URL of the server for tests, or nothing.
func postgresServer(t testing.TB) string {
	t.Helper()
	server := os.Getenv(PostgresEnv)
	if server != "" {
		return server
	}
	if os.Getenv(RequireEnv) == "all" {
		t.Fatalf("%s is not set and %s=all: start a server with .ci/postgres", PostgresEnv, RequireEnv)
	}
	sayOnce.Do(func() {
		fmt.Fprintf(os.Stderr, "left out: PostgreSQL, because %s is not set\n", PostgresEnv)
	})
	return ""
}

func emptySQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "carillon.db")
}

func emptyPostgres(t testing.TB, server string) string {
	t.Helper()
	place, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s cannot be read", PostgresEnv)
	}
	name := "carillon_test_" + strings.ToLower(rand.Text())
	administer(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { administer(t, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	place.Path = "/" + name
	return place.String()
}

// administer runs a statement on the server itself.
func administer(t testing.TB, server, statement string) {
	t.Helper()
	// The test's own context is done when it cleans up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), setupTimeout)
	defer cancel()
	database, err := schema.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", PostgresEnv, err)
	}
	db, err := database.Open()
	if err != nil {
		t.Fatalf("%s: %v", PostgresEnv, err)
	}
	defer closeDB(t, db)
	if _, err := db.ExecContext(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func closeDB(t testing.TB, db *sql.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Errorf("close database: %v", err)
	}
}

func migrate(t testing.TB, databaseURL string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), setupTimeout)
	defer cancel()
	if _, err := schema.Migrate(ctx, databaseURL); err != nil {
		t.Fatal(err)
	}
}
