package store

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
)

const (
	selectConfigVersion = `SELECT version FROM config WHERE id = 1`
	bumpConfigVersion   = `UPDATE config SET version = version + 1 WHERE id = 1 RETURNING version`
	stampSubscription   = `UPDATE subscriptions SET changed_version = ? WHERE id = ?`
)

// ConfigVersion returns the version of the configuration: every change that
// was committed before is in it.
func (s *Store) ConfigVersion(ctx context.Context) (int64, error) {
	version, err := readOne[int64](ctx, s, selectConfigVersion)
	if err != nil {
		return 0, fmt.Errorf("read config version: %w", err)
	}
	return version, nil
}

// changeConfig runs fn in one transaction that makes the given version of the
// configuration. Until it ends no other begins, so fn may read before it
// writes.
//
// fn changes one subscription, the named one, or none where the name is empty;
// its row then bears the
// version: that is what [Store.Changes] finds it by.
func (s *Store) changeConfig(ctx context.Context, subscription string, fn func(tx *sqlx.Tx, version int64) error) error {
	return s.write(ctx, func(tx *sqlx.Tx) error {
		version, err := get[int64](ctx, tx, bumpConfigVersion)
		if err != nil {
			return fmt.Errorf("raise config version: %w", err)
		}
		if err := fn(tx, version); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, stampSubscription, version, subscription); err != nil {
			return fmt.Errorf("stamp subscription %s: %w", subscription, err)
		}
		return nil
	})
}
