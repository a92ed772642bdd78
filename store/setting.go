package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const (
	selectSetting  = `SELECT channel, value, version, updated_at FROM settings WHERE channel = ?`
	selectSettings = `SELECT channel, value, version, updated_at FROM settings ORDER BY channel`
	upsertSetting  = `INSERT INTO settings (channel, value, version, updated_at) VALUES (?, ?, 1, ?)
		ON CONFLICT (channel) DO UPDATE SET value = excluded.value, version = settings.version + 1, updated_at = excluded.updated_at`
	deleteSetting = `DELETE FROM settings WHERE channel = ?`
)

type settingRow struct {
	Channel   string `db:"channel"`
	Value     string `db:"value"`
	Version   int64  `db:"version"`
	UpdatedAt int64  `db:"updated_at"`
}

// settingContext binds a sealed setting to its row.
func settingContext(channel string) string { return "settings.value/" + channel }

func (s *Store) openSetting(r settingRow) (carillon.Setting, error) {
	value, err := s.sealer.Open(r.Value, settingContext(r.Channel))
	if err != nil {
		return carillon.Setting{}, carillon.Errorf(carillon.CodeUnavailable,
			"the setting of the channel %s cannot be opened: CARILLON_SECRET_KEY lacks the key that sealed it", r.Channel)
	}
	return carillon.Setting{Channel: r.Channel, Value: value, Version: r.Version, UpdatedAt: instant(r.UpdatedAt)}, nil
}

// Setting returns what is set for the installation of a channel; nil when there
// is nothing.
func (s *Store) Setting(ctx context.Context, channel string) (carillon.Endpoint, error) {
	row, err := readOne[settingRow](ctx, s, selectSetting, channel)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the setting of %s: %w", channel, err)
	}
	setting, err := s.openSetting(row)
	return setting.Value, err
}

// Settings returns all settings, by their channels' names.
func (s *Store) Settings(ctx context.Context) ([]carillon.Setting, error) {
	rows, err := readAll[settingRow](ctx, s, selectSettings)
	if err != nil {
		return nil, fmt.Errorf("list settings: %w", err)
	}
	all := make([]carillon.Setting, len(rows))
	for i, row := range rows {
		if all[i], err = s.openSetting(row); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// PutSetting sets what a channel's subscriptions leave to the installation, and
// writes an audit entry, which says that and not what.
func (s *Store) PutSetting(ctx context.Context, channel string, value carillon.Endpoint, actor string, now time.Time) error {
	sealed, err := s.sealer.Seal(value, settingContext(channel))
	if err != nil {
		return fmt.Errorf("seal the setting of %s: %w", channel, err)
	}
	return s.write(ctx, func(tx *sqlx.Tx) error {
		if _, err := exec(ctx, tx, upsertSetting, channel, sealed, micros(now)); err != nil {
			return fmt.Errorf("write the setting of %s: %w", channel, err)
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{At: now, Actor: actor, Action: "setting.updated", Object: channel}, nil, nil)
	})
}

// DeleteSetting removes a setting. The error is [carillon.CodeNotFound] when
// there is none.
func (s *Store) DeleteSetting(ctx context.Context, channel, actor string, now time.Time) error {
	var found bool
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		written, err := exec(ctx, tx, deleteSetting, channel)
		if found = written > 0; err != nil || !found {
			return err
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{At: now, Actor: actor, Action: "setting.deleted", Object: channel}, nil, nil)
	})
	if err == nil && !found {
		err = carillon.Errorf(carillon.CodeNotFound, "nothing is set for the channel %q", channel)
	}
	return err
}
