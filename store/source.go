package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const sourceColumns = `id, name, kind, scope, authentication, version, created_at, updated_at`

const (
	selectSources      = `SELECT ` + sourceColumns + ` FROM sources ORDER BY LOWER(name)`
	selectSourceByName = `SELECT ` + sourceColumns + ` FROM sources WHERE LOWER(name) = LOWER(?)`
	selectSourceByID   = `SELECT ` + sourceColumns + ` FROM sources WHERE id = ?`
	insertSource       = `INSERT INTO sources (` + sourceColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	updateSource       = `UPDATE sources SET name = ?, kind = ?, scope = ?, authentication = ?, version = ?, updated_at = ?
		WHERE id = ? AND version = ?`
	deleteSource = `DELETE FROM sources WHERE id = ? AND version = ?`
)

// forgetSource removes what is known of a source's registry.
var forgetSource = []string{
	`DELETE FROM oci_tags WHERE source_id = ?`,
	`DELETE FROM oci_digests WHERE source_id = ?`,
	`DELETE FROM oci_answers WHERE source_id = ?`,
}

type sourceRow struct {
	ID             string `db:"id"`
	Name           string `db:"name"`
	Kind           string `db:"kind"`
	Scope          string `db:"scope"`
	Authentication string `db:"authentication"`
	Version        int64  `db:"version"`
	CreatedAt      int64  `db:"created_at"`
	UpdatedAt      int64  `db:"updated_at"`
}

func (r sourceRow) source() (carillon.Source, error) {
	src := carillon.Source{
		ID: r.ID, Name: r.Name, Kind: r.Kind, Version: r.Version,
		CreatedAt: instant(r.CreatedAt), UpdatedAt: instant(r.UpdatedAt),
	}
	if err := json.Unmarshal([]byte(r.Scope), &src.Scope); err != nil {
		return carillon.Source{}, fmt.Errorf("read source %s: %w", r.ID, err)
	}
	return src, nil
}

// openSource is source with its authentication. One that cannot be opened makes
// its source unreadable, and only that: it is no error.
func (s *Store) openSource(r sourceRow) (carillon.Source, error) {
	src, err := r.source()
	if err != nil {
		return carillon.Source{}, err
	}
	src.Authentication, err = openAuthentication(s.sealer, r.ID, r.Authentication)
	src.Unreadable = err != nil
	return src, nil
}

// sourceView is what the audit keeps of a source.
type sourceView struct {
	Name  string            `json:"name"`
	Kind  string            `json:"kind"`
	Scope map[string]string `json:"scope,omitempty"`
	// Authentication is nil where there is none, or it cannot be read.
	Authentication *authenticationView `json:"authentication,omitempty"`
	Version        int64               `json:"version"`
}

func viewOfSource(src carillon.Source) sourceView {
	return sourceView{
		Name: src.Name, Kind: src.Kind, Scope: src.Scope, Version: src.Version,
		Authentication: viewOfAuthentication(src.Authentication),
	}
}

// Sources returns all sources in the order of their names.
func (s *Store) Sources(ctx context.Context) ([]carillon.Source, error) {
	rows, err := readAll[sourceRow](ctx, s, selectSources)
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	to := carillon.ConfinementOf(ctx)
	sources := make([]carillon.Source, 0, len(rows))
	for _, row := range rows {
		src, err := s.openSource(row)
		if err != nil {
			return nil, err
		}
		// Here, not in the statement: there are few, and never a page of them.
		if to.Holds(src.Scope) {
			sources = append(sources, src)
		}
	}
	return sources, nil
}

// Source returns the source of a name, in upper or lower case, or an error of
// [carillon.CodeNotFound].
func (s *Store) Source(ctx context.Context, name string) (carillon.Source, error) {
	row, err := readOne[sourceRow](ctx, s, selectSourceByName, name)
	if err != nil {
		return carillon.Source{}, sourceError(name, err)
	}
	src, err := s.openSource(row)
	if err == nil && !carillon.ConfinementOf(ctx).Holds(src.Scope) {
		return carillon.Source{}, sourceError(name, sql.ErrNoRows)
	}
	return src, err
}

// CreateSource keeps a new source and returns it with its Version. UpdatedAt
// becomes CreatedAt. A name or an id that is there already, in upper or lower
// case, gives an error of [carillon.CodeExists], a scope that the context does
// not let be one of [carillon.CodeForbidden].
func (s *Store) CreateSource(ctx context.Context, src carillon.Source, actor string) (carillon.Source, error) {
	if err := carillon.ConfinementOf(ctx).Check(src.Scope); err != nil {
		return carillon.Source{}, err
	}
	src.Version, src.UpdatedAt = 1, src.CreatedAt
	sealed, err := sealAuthentication(s.sealer, src)
	if err != nil {
		return carillon.Source{}, err
	}
	err = s.write(ctx, func(tx *sqlx.Tx) error {
		written, err := exec(ctx, tx, insertSource, src.ID, src.Name, src.Kind, asJSON(src.Scope), sealed, src.Version,
			micros(src.CreatedAt), micros(src.UpdatedAt))
		if err != nil {
			return fmt.Errorf("create source %s: %w", src.ID, err)
		}
		if written == 0 {
			return sourceExists(src.Name)
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: src.CreatedAt, Actor: actor, Action: "source.created", Object: src.ID, Detail: "created " + named(src.Name),
		}, nil, viewOfSource(src))
	})
	if err != nil {
		return carillon.Source{}, err
	}
	return src, nil
}

// UpdateSource replaces name, kind, scope, authentication and UpdatedAt of the
// source with the id; the authentication of an unreadable one stays. ifVersion, unless 0, is the version that the change was made from;
// another one gives an error of [carillon.CodeStale], a missing source one of
// [carillon.CodeNotFound], a name that another source has one of
// [carillon.CodeExists], a scope that the context does not let be one of
// [carillon.CodeForbidden].
func (s *Store) UpdateSource(ctx context.Context, src carillon.Source, ifVersion int64, actor string) (carillon.Source, error) {
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		row, err := sourceForChange(ctx, tx, selectSourceByID, src.ID, ifVersion)
		if err != nil {
			return err
		}
		stored, err := s.openSource(row)
		if err != nil {
			return err
		}
		if err := carillon.ConfinementOf(ctx).Check(src.Scope); err != nil {
			return err
		}
		sealed := row.Authentication
		if !src.Unreadable {
			if sealed, err = sealAuthentication(s.sealer, src); err != nil {
				return err
			}
		}
		src.Version, src.CreatedAt = stored.Version+1, stored.CreatedAt
		written, err := exec(ctx, tx, updateSource, src.Name, src.Kind, asJSON(src.Scope), sealed, src.Version,
			micros(src.UpdatedAt), src.ID, stored.Version)
		if isUniqueViolation(err) {
			return sourceExists(src.Name)
		}
		if err != nil {
			return fmt.Errorf("update source %s: %w", src.ID, err)
		}
		if written == 0 {
			return sourceChanged(stored.Name)
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: src.UpdatedAt, Actor: actor, Action: "source.updated", Object: src.ID,
			Detail: "changed " + named(stored.Name) + changedSecrets(stored, src),
		}, viewOfSource(stored), viewOfSource(src))
	})
	if err != nil {
		return carillon.Source{}, err
	}
	return src, nil
}

// DeleteSource removes the source of a name, and what is known of its
// registry. The errors are those of [Store.UpdateSource].
func (s *Store) DeleteSource(ctx context.Context, name string, ifVersion int64, actor string, now time.Time) error {
	return s.write(ctx, func(tx *sqlx.Tx) error {
		row, err := sourceForChange(ctx, tx, selectSourceByName, name, ifVersion)
		if err != nil {
			return err
		}
		stored, err := s.openSource(row)
		if err != nil {
			return err
		}
		written, err := exec(ctx, tx, deleteSource, stored.ID, stored.Version)
		if err != nil {
			return fmt.Errorf("delete source %s: %w", stored.ID, err)
		}
		if written == 0 {
			return sourceChanged(stored.Name)
		}
		for _, query := range forgetSource {
			if _, err := exec(ctx, tx, query, stored.ID); err != nil {
				return fmt.Errorf("forget source %s: %w", stored.ID, err)
			}
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: now, Actor: actor, Action: "source.deleted", Object: stored.ID, Detail: "deleted " + named(stored.Name),
		}, viewOfSource(stored), nil)
	})
}

// sourceForChange reads a source by its id or its name, as the query does.
func sourceForChange(ctx context.Context, tx *sqlx.Tx, query, key string, ifVersion int64) (sourceRow, error) {
	row, err := get[sourceRow](ctx, tx, query, key)
	if err != nil {
		return sourceRow{}, sourceError(key, err)
	}
	stored, err := row.source()
	if err != nil {
		return sourceRow{}, err
	}
	if !carillon.ConfinementOf(ctx).Holds(stored.Scope) {
		return sourceRow{}, sourceError(key, sql.ErrNoRows)
	}
	if ifVersion != 0 && ifVersion != row.Version {
		return sourceRow{}, carillon.Errorf(carillon.CodeStale,
			"source %q is at version %d, not %d", row.Name, row.Version, ifVersion)
	}
	return row, nil
}

func sourceError(name string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return carillon.Errorf(carillon.CodeNotFound, "there is no source %q", name)
	}
	return fmt.Errorf("read source %s: %w", name, err)
}

func sourceExists(name string) error {
	return carillon.Errorf(carillon.CodeExists, "there is a source named %q already", name)
}

// sourceChanged is for a change that another one overtook.
func sourceChanged(name string) error {
	return carillon.Errorf(carillon.CodeStale, "source %q was changed at the same time", name)
}

// isUniqueViolation recognises the error of either database.
func isUniqueViolation(err error) bool {
	const (
		postgres = "23505" // https://www.postgresql.org/docs/current/errcodes-appendix.html
		sqlite   = 2067    // https://www.sqlite.org/rescode.html#constraint_unique
	)
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return e.SQLState() == postgres
	}
	if e, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return e.Code() == sqlite
	}
	return false
}
