package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const (
	pageOfEndpoints       = `SELECT id, endpoint AS sealed FROM subscriptions WHERE id > ? AND endpoint <> '' ORDER BY id LIMIT ?`
	renewEndpoint         = `UPDATE subscriptions SET endpoint = ? WHERE id = ? AND endpoint = ?`
	pageOfAuthentications = `SELECT id, authentication AS sealed FROM sources WHERE id > ? AND authentication <> '' ORDER BY id LIMIT ?`
	renewAuthentication   = `UPDATE sources SET authentication = ? WHERE id = ? AND authentication = ?`
	pageOfSettings        = `SELECT channel AS id, value AS sealed FROM settings WHERE channel > ? ORDER BY channel LIMIT ?`
	renewSetting          = `UPDATE settings SET value = ? WHERE channel = ? AND value = ?`
)

// sealedColumn is where sealed texts are.
type sealedColumn struct {
	// name is its table and column.
	name string
	// page reads the next texts, and renew replaces one that is still there.
	page, renew string
	// context is what the text of a row is bound to.
	context func(id string) string
}

// sealedColumns are all there are. A text in a column that is not here would be
// lost with its key.
var sealedColumns = []sealedColumn{
	{"subscriptions.endpoint", pageOfEndpoints, renewEndpoint, endpointContext},
	{"sources.authentication", pageOfAuthentications, renewAuthentication, authenticationContext},
	{"settings.value", pageOfSettings, renewSetting, settingContext},
}

type sealedRow struct {
	ID     string `db:"id"`
	Sealed string `db:"sealed"`
}

// resealPage is how many rows are sealed anew in one transaction: few enough
// that nobody waits for it.
const resealPage = 50

// resealPasses is how often rows that others changed meanwhile are looked at
// again. More would not help: a process then still seals with an older key.
const resealPasses = 3

// SealedKeys counts the sealed texts by the id of their key.
func (s *Store) SealedKeys(ctx context.Context) (map[string]int, error) {
	counts := map[string]int{}
	for _, column := range sealedColumns {
		err := s.eachSealed(ctx, column, func(rows []sealedRow) error {
			for _, row := range rows {
				counts[s.sealer.KeyOf(row.Sealed)]++
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// eachSealed reads a column page by page.
func (s *Store) eachSealed(ctx context.Context, c sealedColumn, do func([]sealedRow) error) error {
	for after := ""; ; {
		rows, err := readAll[sealedRow](ctx, s, c.page, after, resealPage)
		if err != nil {
			return fmt.Errorf("read sealed %s: %w", c.name, err)
		}
		if err := do(rows); err != nil {
			return err
		}
		if len(rows) < resealPage {
			return nil
		}
		after = rows[len(rows)-1].ID
	}
}

// Resealed is what a [Store.Reseal] came to.
type Resealed struct {
	// Key is the id of the newest key.
	Key string `json:"key"`
	// Rows is how many sealed texts there are, and Resealed how many of them were
	// sealed anew.
	Rows     int `json:"rows"`
	Resealed int `json:"resealed"`
	// Unreadable are the ids of rows whose key is missing, or which are damaged.
	Unreadable []string `json:"unreadable"`
	// Left are the ids of rows that another process went on sealing with an older
	// key.
	Left []string `json:"left"`
}

// Done reports whether everything is sealed with the newest key.
func (r Resealed) Done() bool { return len(r.Unreadable) == 0 && len(r.Left) == 0 }

// Reseal seals with the newest key what is sealed with another, while others
// read and write: a row that changes meanwhile stays as it was changed. A row's
// version stays, too, as nothing of it changes for anybody. progress, unless
// nil, hears of every page.
func (s *Store) Reseal(
	ctx context.Context, actor string, now time.Time, progress func(column string, resealed, seen int),
) (Resealed, error) {
	result := Resealed{Key: s.sealer.Newest()}
	for pass := 1; pass <= resealPasses && (pass == 1 || len(result.Left) > 0); pass++ {
		result.Rows, result.Unreadable, result.Left = 0, []string{}, []string{}
		for _, column := range sealedColumns {
			seen, before := 0, result.Resealed
			err := s.eachSealed(ctx, column, func(rows []sealedRow) error {
				err := s.resealPage(ctx, column, rows, &result)
				seen += len(rows)
				if err == nil && progress != nil && len(rows) > 0 {
					progress(column.name, result.Resealed-before, seen)
				}
				return err
			})
			if err != nil {
				return result, err
			}
		}
	}
	if result.Resealed == 0 {
		return result, nil
	}
	return result, s.write(ctx, func(tx *sqlx.Tx) error {
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: now, Actor: actor, Action: "keys.rotated", Object: "key " + result.Key,
			Detail: fmt.Sprintf("sealed %d of %d secrets with it, which were sealed with older keys", result.Resealed, result.Rows),
		}, nil, nil)
	})
}

// resealPage seals the rows of one page anew, in one transaction.
func (s *Store) resealPage(ctx context.Context, c sealedColumn, rows []sealedRow, result *Resealed) error {
	renewed := map[string]string{}
	for _, row := range rows {
		result.Rows++
		if s.sealer.KeyOf(row.Sealed) == s.sealer.Newest() {
			continue
		}
		plaintext, err := s.sealer.Open(row.Sealed, c.context(row.ID))
		if err != nil {
			result.Unreadable = append(result.Unreadable, row.ID)
			continue
		}
		if renewed[row.ID], err = s.sealer.Seal(plaintext, c.context(row.ID)); err != nil {
			return fmt.Errorf("seal %s %s: %w", c.name, row.ID, err)
		}
	}
	if len(renewed) == 0 {
		return nil
	}
	resealed, left := 0, []string{}
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		for _, row := range rows {
			sealed, ok := renewed[row.ID]
			if !ok {
				continue
			}
			written, err := exec(ctx, tx, c.renew, sealed, row.ID, row.Sealed)
			if err != nil {
				return fmt.Errorf("reseal %s %s: %w", c.name, row.ID, err)
			}
			if written == 0 {
				left = append(left, row.ID)
			}
			resealed += int(written)
		}
		return nil
	})
	if err != nil {
		return err
	}
	result.Resealed += resealed
	result.Left = append(result.Left, left...)
	return nil
}
