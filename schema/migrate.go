package schema

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// lockTimeout is how long a migration waits for a table that others use,
	// before it gives up and lets them go on.
	lockTimeout = "10s"
	// A migration waits this long for another process that migrates: it looks
	// every second, for five minutes.
	lockPeriod, lockTries = 1, 300
	// sqliteTries bounds how often a migration of a SQLite file begins again
	// because another process was faster.
	sqliteTries = 10
)

// Migrate brings the database up to date and returns how many migrations that
// took. Any number of processes may call it at once: one does the work, the
// others find it done.
func Migrate(ctx context.Context, databaseURL string) (int, error) {
	database, err := Parse(databaseURL)
	if err != nil {
		return 0, err
	}
	db, err := database.openMigrator()
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()

	if database.driver == SQLite {
		return migrateSQLite(ctx, db)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockPeriod, lockTries))
	if err != nil {
		return 0, fmt.Errorf("migrate database: %w", err)
	}
	return migrate(ctx, db, goose.DialectPostgres, goose.WithSessionLocker(locker))
}

// Version returns the version that the database is at, 0 when it is empty.
func Version(ctx context.Context, db *sql.DB, driver Driver) (int64, error) {
	const (
		existsPostgres = `SELECT to_regclass('goose_db_version') IS NOT NULL`
		existsSQLite   = `SELECT COUNT(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'`
		latest         = `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`
	)
	exists := existsPostgres
	if driver == SQLite {
		exists = existsSQLite
	}
	var there bool
	if err := db.QueryRowContext(ctx, exists).Scan(&there); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if !there {
		return 0, nil
	}
	var version int64
	if err := db.QueryRowContext(ctx, latest).Scan(&version); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return version, nil
}

// Latest returns the version that this program needs.
func Latest() int64 {
	var latest int64
	names, _ := fs.Glob(migrations, "*.sql")
	for _, name := range names {
		if version, err := goose.NumericComponent(name); err == nil {
			latest = max(latest, version)
		}
	}
	return latest
}

// openMigrator opens a pool of connections whose statements give up waiting
// for locks. SQLite has no such locks.
func (d Database) openMigrator() (*sql.DB, error) {
	if d.driver == Postgres {
		return d.openPostgres(map[string]string{"lock_timeout": lockTimeout}, nil)
	}
	return d.Open()
}

// migrateSQLite begins again after a failure for as long as others migrate the
// same file: SQLite has no lock that spans transactions, so the slower process
// finds tables that it did not make.
func migrateSQLite(ctx context.Context, db *sql.DB) (int, error) {
	for try := 1; ; try++ {
		before, err := Version(ctx, db, SQLite)
		if err != nil {
			return 0, err
		}
		count, err := migrate(ctx, db, goose.DialectSQLite3)
		if err == nil {
			return count, nil
		}
		after, versionErr := Version(ctx, db, SQLite)
		if versionErr != nil || after == before || try == sqliteTries {
			return count, err
		}
	}
}

func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, options ...goose.ProviderOption) (int, error) {
	options = append(options, goose.WithDisableGlobalRegistry(true))
	provider, err := goose.NewProvider(dialect, db, migrations, options...)
	if err != nil {
		return 0, fmt.Errorf("migrate database: %w", err)
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate database: %w", err)
	}
	return len(done), nil
}
