package schema

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/lib/pq"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Driver is the kind of a database, under the name that its driver has.
type Driver string

// The databases that Carillon works on.
const (
	Postgres Driver = "postgres"
	SQLite   Driver = "sqlite"
)

const (
	// maxConns leaves room for several processes within PostgreSQL's default
	// of 100 connections.
	maxConns = 20
	// Idle connections go after a while and all of them in time, so that a
	// restarted or moved server is found, and its memory given back.
	maxConnIdle = 5 * time.Minute
	maxConnLife = 30 * time.Minute
	// connectTimeout, in seconds, is for a host that does not answer at all.
	connectTimeout = "5"
	// busyTimeout, in milliseconds, is how long SQLite waits for a writer in
	// another process.
	busyTimeout = "10000"
)

// Database says where a database is. It may hold a password and never prints
// itself.
type Database struct {
	driver Driver
	// place is the URL of a PostgreSQL database, and the path of a SQLite file
	// as the path of a URL.
	place    url.URL
	password string
}

// Parse reads a database URL: postgres://… or sqlite:PATH. Its errors do not
// repeat the URL, which may hold a password.
func Parse(databaseURL string) (Database, error) {
	scheme, rest, _ := strings.Cut(databaseURL, ":")
	switch scheme {
	case "sqlite":
		if rest == "" || strings.Contains(rest, ":memory:") {
			return Database{}, errors.New("the database URL names no file: write sqlite:PATH")
		}
		return Database{driver: SQLite, place: url.URL{Scheme: "file", Opaque: (&url.URL{Path: rest}).EscapedPath()}}, nil
	case "postgres", "postgresql":
		place, err := url.Parse(databaseURL)
		// A password with one of / ? # unescaped would be taken for host, port and path.
		if err != nil || place.User == nil && strings.Contains(rest, "@") {
			return Database{}, errors.New("the database URL cannot be read: " +
				"in user and password, every character but letters and digits is written as %XX")
		}
		password, ok := place.User.Password()
		if !ok {
			password = place.Query().Get("password")
		}
		return Database{driver: Postgres, place: *place, password: password}, nil
	default:
		return Database{}, errors.New("the database URL is neither postgres://USER:PASSWORD@HOST/DATABASE nor sqlite:PATH")
	}
}

// Driver returns the kind of the database.
func (d Database) Driver() Driver { return d.driver }

// String names the kind of the database only.
func (d Database) String() string { return string(d.driver) }

// GoString names the kind of the database only.
func (d Database) GoString() string { return string(d.driver) }

// Open opens a pool of connections that can write, without connecting yet. On
// SQLite it has one connection, because a file has one writer at a time, and
// takes the file for writing at the beginning of a transaction: one that reads
// first and writes then fails when somebody wrote in between.
func (d Database) Open() (*sql.DB, error) {
	if d.driver == SQLite {
		return d.openSQLite(1, url.Values{
			"_txlock": {"immediate"},
			"_pragma": {
				"busy_timeout(" + busyTimeout + ")",
				"journal_mode(wal)",
				// With a write-ahead log this loses nothing when the process dies,
				// and keeps the file whole when the machine does.
				"synchronous(normal)",
				// A log that one large transaction made long is cut again.
				"journal_size_limit(67108864)",
				// Pages that claims write go to the file after 16 MiB of log, not 4,
				// and stay at hand until then: each is written many times.
				"wal_autocheckpoint(4000)",
				"cache_size(-16000)",
			},
		})
	}
	return d.openPostgres(nil, dialer{})
}

// OpenReader opens a pool of connections that only read, without connecting
// yet. On SQLite they do not wait for the writer.
func (d Database) OpenReader() (*sql.DB, error) {
	if d.driver == SQLite {
		return d.openSQLite(max(4, runtime.NumCPU()), url.Values{
			"_pragma": {"busy_timeout(" + busyTimeout + ")", "query_only(1)"},
		})
	}
	return d.openPostgres(nil, dialer{})
}

func (d Database) openSQLite(conns int, options url.Values) (*sql.DB, error) {
	place := d.place
	place.RawQuery = options.Encode()
	known, err := sql.Open(string(SQLite), "") // opens nothing yet
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db := sql.OpenDB(preparing{driver: known.Driver(), place: place.String()})
	if err := known.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), db.Close())
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// openPostgres sets the options that the URL does not. via is nil for what may
// wait for a long time.
func (d Database) openPostgres(options map[string]string, via pq.Dialer) (*sql.DB, error) {
	query := d.place.Query()
	for key, value := range map[string]string{
		"application_name": "carillon",
		"connect_timeout":  connectTimeout,
		// One round trip for a statement with parameters, not two.
		"binary_parameters": "yes",
	} {
		if !query.Has(key) {
			query.Set(key, value)
		}
	}
	for key, value := range options {
		query.Set(key, value)
	}
	place := d.place
	place.RawQuery = query.Encode()
	connector, err := pq.NewConnector(place.String())
	if err != nil {
		return nil, errors.New("the database URL is not valid: " + d.withoutPassword(err.Error()))
	}
	if via != nil {
		connector.Dialer(via)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxIdleTime(maxConnIdle)
	db.SetConnMaxLifetime(maxConnLife)
	return db, nil
}

// withoutPassword blanks the password, as it is and as a URL writes it.
func (d Database) withoutPassword(text string) string {
	if d.password == "" {
		return text
	}
	user := url.UserPassword("", d.password).String()
	for _, secret := range []string{d.place.String(), strings.TrimPrefix(user, ":"), d.password} {
		text = strings.ReplaceAll(text, secret, "•••")
	}
	return text
}
