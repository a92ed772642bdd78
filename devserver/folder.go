package main

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The files of the folder. Visibility has one of its own, because SQLite takes
// one writer a file: together they were 13 % slower.
const (
	historyFile    = "temporal.db"
	visibilityFile = "visibility.db"
	lockFile       = "lock.db"
)

// driver is the name under which the server's SQLite plugin has its driver.
const driver = "sqlite"

// pragmas of the databases. In WAL mode, synchronous 1 (NORMAL) keeps a
// database whole through a crash of the process and spares an fsync a commit.
var pragmas = map[string]string{
	"journal_mode": "wal",
	"synchronous":  "1",
	"busy_timeout": "5000", // milliseconds, for a person who looks in with another program
}

// lockFolder takes the folder for this process until release is called, or
// until the process ends in whatever way. It waits, while ctx lasts, for a
// server that is about to end: its parent may have been killed and started
// again.
//
// The lock is an exclusive transaction of an empty SQLite database, which every
// system releases with the process.
func lockFolder(ctx context.Context, dir string) (release func(), err error) {
	db, err := sql.Open(driver, fmt.Sprintf("file:%s?_txlock=exclusive", escape(filepath.Join(dir, lockFile))))
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	var tx *sql.Tx
	err = poll(ctx, func(context.Context) (err error) {
		// Not with the context of the wait: the transaction would end with it.
		tx, err = db.BeginTx(context.WithoutCancel(ctx), nil)
		return err
	})
	if err != nil {
		_ = db.Close()
		return nil, usagef("--dir %s: another server uses it, or it cannot be written to (%v)", dir, err)
	}
	return func() {
		_ = tx.Rollback()
		_ = db.Close()
	}, nil
}

// database returns the configuration of a file of the folder.
func database(dir, file string) *config.SQL {
	attributes := map[string]string{"mode": "rwc"}
	maps.Copy(attributes, pragmas)
	return &config.SQL{
		PluginName: sqlite.PluginName,
		// The plugin makes a URI of it, as it is.
		DatabaseName:      escape(filepath.Join(dir, file)),
		ConnectAttributes: attributes,
	}
}

func escape(path string) string { return (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() }

// setUp gives new databases their tables and the namespace; what stands there
// is left as it is.
func setUp(ctx context.Context, dir string, history, visibility *config.SQL) error {
	if history.PluginName != sqlite.PluginName {
		if err := setUpPostgresStores(history, visibility); err != nil {
			return err
		}
		return setUpNamespace(history)
	}
	for _, file := range []string{historyFile, visibilityFile} {
		if err := setUpSchema(ctx, filepath.Join(dir, file)); err != nil {
			return fmt.Errorf("set up %s: %w", file, err)
		}
	}
	return setUpNamespace(history)
}

func setUpNamespace(history *config.SQL) error {
	namespace, err := sqliteschema.NewNamespaceConfig(clusterName, namespaceName, false, searchAttributes)
	if err != nil {
		return fmt.Errorf("set up the namespace: %w", err)
	}
	namespace.Detail.Info.Description = "Events and deliveries of Carillon"
	namespace.Detail.Config.Retention = durationpb.New(retention)
	if err := sqliteschema.CreateNamespaces(history, namespace); err != nil {
		return fmt.Errorf("set up the namespace: %w", err)
	}
	return nil
}

// setUpSchema makes the tables in one transaction: a process killed in the
// middle of its first start leaves an empty database, not half of one.
func setUpSchema(ctx context.Context, path string) error {
	db, err := sql.Open(driver, fmt.Sprintf("file:%s?_txlock=immediate&_pragma=journal_mode=%s&_pragma=synchronous=%s",
		escape(path), pragmas["journal_mode"], pragmas["synchronous"]))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var tables int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		return nil
	}
	if err := sqliteschema.SetupSchemaOnDB(schemaTx{ctx: ctx, tx: tx}); err != nil {
		return err
	}
	return tx.Commit()
}

// schemaTx runs a schema's statements in a transaction. Setting up a schema
// uses Exec alone; the rest of the interface is not there.
type schemaTx struct {
	sqlplugin.AdminDB

	ctx context.Context //nolint:containedctx // the interface's Exec takes none
	tx  *sql.Tx
}

// Exec runs one statement.
func (s schemaTx) Exec(statement string, args ...any) error {
	_, err := s.tx.ExecContext(s.ctx, statement, args...)
	return err
}

var searchAttributes = map[string]enumspb.IndexedValueType{
	"CarillonEventType": enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"CarillonScope":     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"CarillonSubject":   enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"CarillonState":     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"CarillonFailing":   enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
