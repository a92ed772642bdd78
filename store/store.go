package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/schema"
)

// Sealer seals secrets for keeping, and opens them again under the context
// that they were sealed under.
type Sealer interface {
	Seal(plaintext []byte, context string) (string, error)
	Open(sealed, context string) ([]byte, error)
	// KeyOf returns the id of the key that a text was sealed with, and Newest that
	// of the key that seals.
	KeyOf(sealed string) string
	Newest() string
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	driver schema.Driver
	writer *sqlx.DB
	// reader is the writer on PostgreSQL; on SQLite it holds connections of its
	// own, so that reads do not wait for the one that writes.
	reader *sqlx.DB
	sealer Sealer
}

// Open opens the database of a URL, postgres://… or sqlite:PATH, without
// connecting yet: a database that is away at start is like one that goes away
// later. It does not migrate; see [Store.Ping].
func Open(_ context.Context, databaseURL string, sealer Sealer) (*Store, error) {
	database, err := schema.Parse(databaseURL)
	if err != nil {
		return nil, err
	}
	db, err := database.Open()
	if err != nil {
		return nil, err
	}
	writer := sqlx.NewDb(db, string(database.Driver()))
	s := &Store{driver: database.Driver(), writer: writer, reader: writer, sealer: sealer}
	if s.driver == schema.SQLite {
		db, err := database.OpenReader()
		if err != nil {
			return nil, errors.Join(err, writer.Close())
		}
		s.reader = sqlx.NewDb(db, string(schema.SQLite))
	}
	return s, nil
}

// Close ends all connections.
func (s *Store) Close() error {
	err := s.writer.Close()
	if s.reader != s.writer {
		err = errors.Join(err, s.reader.Close())
	}
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// Ping reports whether the database answers and has the tables that this
// program needs; the error, of [carillon.CodeUnavailable], says what to do.
func (s *Store) Ping(ctx context.Context) error {
	var version int64
	err := again(func() (err error) {
		version, err = schema.Version(ctx, s.reader.DB, s.driver)
		return err
	})
	if err != nil {
		return &carillon.Error{Code: carillon.CodeUnavailable, Message: "the database does not answer", Err: err}
	}
	if need := schema.Latest(); version < need {
		return carillon.Errorf(carillon.CodeUnavailable,
			"the database is at version %d of its tables and this program needs %d: run `carillon migrate`", version, need)
	}
	return nil
}

// queryer is a pool or a transaction.
type queryer interface {
	Rebind(query string) string
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	GetContext(ctx context.Context, dest any, query string, args ...any) error
	SelectContext(ctx context.Context, dest any, query string, args ...any) error
}

// exec returns the number of rows that the statement wrote.
func exec(ctx context.Context, q queryer, query string, args ...any) (int64, error) {
	result, err := q.ExecContext(ctx, q.Rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// get returns [sql.ErrNoRows] when there is no row.
func get[T any](ctx context.Context, q queryer, query string, args ...any) (row T, err error) {
	err = q.GetContext(ctx, &row, q.Rebind(query), args...)
	return row, err
}

func list[T any](ctx context.Context, q queryer, query string, args ...any) (rows []T, err error) {
	err = q.SelectContext(ctx, &rows, q.Rebind(query), args...)
	return rows, err
}

// readOne is [get] outside a transaction.
func readOne[T any](ctx context.Context, s *Store, query string, args ...any) (row T, err error) {
	err = again(func() error {
		row, err = get[T](ctx, s.reader, query, args...)
		return err
	})
	return row, away(err)
}

// readAll is [list] outside a transaction.
func readAll[T any](ctx context.Context, s *Store, query string, args ...any) (rows []T, err error) {
	err = again(func() error {
		rows, err = list[T](ctx, s.reader, query, args...)
		return err
	})
	return rows, away(err)
}

// errRollback makes [Store.write] leave the database as it was, without being
// an error to its caller.
var errRollback = errors.New("roll back")

// write runs fn in one transaction, which is rolled back when it errs.
func (s *Store) write(ctx context.Context, fn func(tx *sqlx.Tx) error) error {
	var tx *sqlx.Tx
	err := again(func() (err error) {
		tx, err = s.writer.BeginTxx(ctx, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin transaction: %w", away(err))
	}
	if err := fn(tx); err != nil {
		// Its own failure adds nothing: the connection ends with the transaction.
		_ = tx.Rollback()
		if errors.Is(err, errRollback) {
			return nil
		}
		return away(err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", away(err))
	}
	return nil
}

// maxStale is above the number of connections that a pool can hold.
const maxStale = 32

// again repeats something that may be done twice while the pool hands out
// connections that broke while nobody used them: after a restart of PostgreSQL
// that is all of them. database/sql does so for what the driver calls a bad
// connection, which a reset one is not. A dial that fails is no stale
// connection, and is not repeated.
func again(do func() error) error {
	for try := 1; ; try++ {
		err := do()
		broken, ok := errors.AsType[*net.OpError](err)
		if !ok || broken.Op == "dial" || broken.Timeout() || try == maxStale {
			return err
		}
	}
}

// micros is how an instant is kept.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
