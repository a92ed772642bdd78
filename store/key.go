package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const keyColumns = `id, name, role, secret_hash, sources, scope, created_by, created_at, expires_at, revoked_at, last_used_at, rate_limit`

const (
	selectKey  = `SELECT ` + keyColumns + ` FROM keys WHERE id = ?`
	pageOfKeys = `SELECT ` + keyColumns + ` FROM keys WHERE id > ? ORDER BY id LIMIT ?`
	insertKey  = `INSERT INTO keys (` + keyColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
	revokeKey  = `UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at = 0`
	// Several processes see the same key: one of them writes.
	useKey = `UPDATE keys SET last_used_at = ? WHERE id = ? AND last_used_at <= ?`
)

type keyRow struct {
	ID         string `db:"id"`
	Name       string `db:"name"`
	Role       string `db:"role"`
	SecretHash string `db:"secret_hash"`
	Sources    string `db:"sources"`
	Scope      string `db:"scope"`
	CreatedBy  string `db:"created_by"`
	CreatedAt  int64  `db:"created_at"`
	ExpiresAt  int64  `db:"expires_at"`
	RevokedAt  int64  `db:"revoked_at"`
	LastUsedAt int64  `db:"last_used_at"`
	RateLimit  string `db:"rate_limit"`
}

func (r keyRow) key() (carillon.Key, error) {
	key := carillon.Key{
		ID: r.ID, Name: r.Name, Role: carillon.Role(r.Role), CreatedBy: r.CreatedBy, CreatedAt: instant(r.CreatedAt),
		ExpiresAt: instant(r.ExpiresAt), RevokedAt: instant(r.RevokedAt), LastUsedAt: instant(r.LastUsedAt),
	}
	hash, err := hex.DecodeString(r.SecretHash)
	if err == nil && copy(key.Hash[:], hash) != len(key.Hash) {
		err = errors.New("the hash is too short")
	}
	err = errors.Join(err, json.Unmarshal([]byte(r.Sources), &key.Sources), json.Unmarshal([]byte(r.Scope), &key.Scope))
	if r.RateLimit != "" {
		err = errors.Join(err, json.Unmarshal([]byte(r.RateLimit), &key.RateLimit))
	}
	if err != nil {
		return carillon.Key{}, fmt.Errorf("read key %s: %w", r.ID, err)
	}
	return key, nil
}

// rateLimitText is how a limit is kept; empty for none.
func rateLimitText(limit carillon.RateLimit) string {
	if limit.IsZero() {
		return ""
	}
	return asJSON(limit)
}

// keyView is what the audit keeps of a key.
type keyView struct {
	Name      string              `json:"name"`
	Role      carillon.Role       `json:"role"`
	Sources   []string            `json:"sources,omitempty"`
	Scope     map[string][]string `json:"scope,omitempty"`
	RateLimit carillon.RateLimit  `json:"rate_limit,omitzero"`
	ExpiresAt time.Time           `json:"expires_at,omitzero"`
	RevokedAt time.Time           `json:"revoked_at,omitzero"`
}

func viewOfKey(key carillon.Key) keyView {
	return keyView{
		Name: key.Name, Role: key.Role, Sources: key.Sources, Scope: key.Scope, RateLimit: key.RateLimit,
		ExpiresAt: key.ExpiresAt, RevokedAt: key.RevokedAt,
	}
}

// ListKeys returns at most limit keys in the order of their ids, those after
// the given one; expired and revoked ones, too.
func (s *Store) ListKeys(ctx context.Context, after string, limit int) ([]carillon.Key, error) {
	rows, err := readAll[keyRow](ctx, s, pageOfKeys, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	keys := make([]carillon.Key, len(rows))
	for i, row := range rows {
		if keys[i], err = row.key(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Key returns one key, whatever its state, or an error of
// [carillon.CodeNotFound].
func (s *Store) Key(ctx context.Context, id string) (carillon.Key, error) {
	row, err := readOne[keyRow](ctx, s, selectKey, id)
	if err != nil {
		return carillon.Key{}, keyError(id, err)
	}
	return row.key()
}

// CreateKey keeps a new key and returns it. An id that is there already gives
// an error of [carillon.CodeExists].
func (s *Store) CreateKey(ctx context.Context, key carillon.Key, actor string) (carillon.Key, error) {
	key.CreatedBy, key.RevokedAt, key.LastUsedAt = actor, time.Time{}, time.Time{}
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		written, err := exec(ctx, tx, insertKey, key.ID, key.Name, string(key.Role), hex.EncodeToString(key.Hash[:]),
			asJSON(key.Sources), asJSON(key.Scope), key.CreatedBy, micros(key.CreatedAt), micros(key.ExpiresAt), 0, 0,
			rateLimitText(key.RateLimit))
		if err != nil {
			return fmt.Errorf("create key %s: %w", key.ID, err)
		}
		if written == 0 {
			return carillon.Errorf(carillon.CodeExists, "there is a key %s already", key.ID)
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: key.CreatedAt, Actor: actor, Action: "key.created", Object: key.ID,
			Detail: "created " + named(key.Name) + ", " + string(key.Role),
		}, nil, viewOfKey(key))
	})
	if err != nil {
		return carillon.Key{}, err
	}
	return key, nil
}

// RevokeKey ends a key for good; the row stays. Doing it again changes nothing
// and is no error; a missing key is one of [carillon.CodeNotFound].
func (s *Store) RevokeKey(ctx context.Context, id, actor string, now time.Time) error {
	return s.write(ctx, func(tx *sqlx.Tx) error {
		written, err := exec(ctx, tx, revokeKey, micros(now), id)
		if err != nil {
			return fmt.Errorf("revoke key %s: %w", id, err)
		}
		// After the update, whose lock on the row makes revocations follow one
		// another.
		row, err := get[keyRow](ctx, tx, selectKey, id)
		if err != nil {
			return keyError(id, err)
		}
		if written == 0 {
			return errRollback
		}
		after, err := row.key()
		if err != nil {
			return err
		}
		before := after
		before.RevokedAt = time.Time{}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: now, Actor: actor, Action: "key.revoked", Object: id, Detail: "revoked " + named(after.Name),
		}, viewOfKey(before), viewOfKey(after))
	})
}

// UseKey notes that a key was used, unless a use was noted less than every
// ago, by whichever process.
func (s *Store) UseKey(ctx context.Context, id string, now time.Time, every time.Duration) error {
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		_, err := exec(ctx, tx, useKey, micros(now), id, micros(now.Add(-every)))
		return err
	})
	if err != nil {
		return fmt.Errorf("note the use of key %s: %w", id, err)
	}
	return nil
}

func keyError(id string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return carillon.Errorf(carillon.CodeNotFound, "there is no key %q", id)
	}
	return fmt.Errorf("read key %s: %w", id, err)
}
