package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/resolver"
	"go.temporal.io/server/schema"
	v12 "go.temporal.io/server/schema/postgresql/v12"
)

const (
	// postgresVariable names a PostgreSQL database to keep everything in, for
	// measuring. It is a variable because a password may be in it, and flags are
	// shown to everybody on the machine.
	postgresVariable = "CARILLON_DEVSERVER_POSTGRES_URL"
	// visibilitySuffix makes the name of the second database of the first's.
	visibilitySuffix = "_visibility"
	// postgresConns bounds the connections to one database.
	postgresConns = 20
)

// postgresStores returns the configurations of the two databases, of the URL of
// the first; both must exist. The URL itself is in no error.
func postgresStores(text string) (history, visibility *config.SQL, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" || u.User == nil || len(u.Path) < 2 {
		return nil, nil, usagef("%s: allowed is postgres://USER:PASSWORD@HOST:PORT/DATABASE", postgresVariable)
	}
	password, _ := u.User.Password()
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	attributes := map[string]string{}
	for name := range u.Query() {
		attributes[name] = u.Query().Get(name)
	}
	store := func(name string) *config.SQL {
		return &config.SQL{
			PluginName: postgresql.PluginNamePGX, ConnectAddr: net.JoinHostPort(u.Hostname(), port), ConnectProtocol: "tcp",
			User: u.User.Username(), Password: password, DatabaseName: name, ConnectAttributes: attributes,
			MaxConns: postgresConns, MaxIdleConns: postgresConns, MaxConnLifetime: time.Hour,
		}
	}
	name := strings.TrimPrefix(u.Path, "/")
	return store(name), store(name + visibilitySuffix), nil
}

// databases returns the configurations of the two stores: files of the folder,
// or what the variable names.
func databases(dir string) (history, visibility *config.SQL, err error) {
	if text := os.Getenv(postgresVariable); text != "" {
		return postgresStores(text)
	}
	return database(dir, historyFile), database(dir, visibilityFile), nil
}

// setUpPostgres gives an empty database the tables of the newest schema.
func setUpPostgres(cfg *config.SQL, folder, version string) error {
	db, err := sql.NewSQLAdminDB(
		sqlplugin.DbKindUnknown, cfg, resolver.NewNoopResolver(), log.NewNoopLogger(), metrics.NoopMetricsHandler)
	if err != nil {
		return fmt.Errorf("%s: %w", postgresVariable, err)
	}
	defer func() { _ = db.Close() }()
	tables, err := db.ListTables(cfg.DatabaseName)
	if err != nil {
		return fmt.Errorf("%s: %w", postgresVariable, err)
	}
	if len(tables) > 0 {
		return nil // the server checks their version
	}
	text, err := fs.ReadFile(schema.Assets(), path.Join("postgresql/v12", folder, "schema.sql"))
	if err != nil {
		return err
	}
	statements, err := persistence.LoadAndSplitQueryFromReaders([]io.Reader{bytes.NewReader(text)})
	if err != nil {
		return err
	}
	if err := db.CreateSchemaVersionTables(); err != nil {
		return err
	}
	for _, statement := range statements {
		if err := db.Exec(statement); err != nil {
			return err
		}
	}
	return db.UpdateSchemaVersion(cfg.DatabaseName, version, version)
}

// setUpPostgresStores is setUpPostgres of both.
func setUpPostgresStores(history, visibility *config.SQL) error {
	if err := setUpPostgres(history, "temporal", v12.Version); err != nil {
		return fmt.Errorf("set up the history: %w", err)
	}
	if err := setUpPostgres(visibility, "visibility", v12.VisibilityVersion); err != nil {
		return fmt.Errorf("set up the visibility: %w", err)
	}
	return nil
}
