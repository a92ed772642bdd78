package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const (
	alertColumns = `id, owner, event_id, subscription_id, event_type, level, title, text, link, at, read_at`

	insertAlert = `INSERT INTO alerts (` + alertColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (owner, event_id, subscription_id) DO NOTHING`
	// The oldest of an inbox that is full make room.
	capAlerts = `DELETE FROM alerts WHERE owner = ? AND id <=
		(SELECT id FROM alerts WHERE owner = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`

	selectAlerts = `SELECT ` + alertColumns + ` FROM alerts WHERE owner = ?`
	alertsUnread = ` AND read_at = 0`
	alertsBefore = ` AND id < ?`
	alertsAfter  = ` AND at >= ? ORDER BY at, id LIMIT ?`
	alertsNewest = ` ORDER BY id DESC LIMIT ?`
	countAlerts  = `SELECT COUNT(*) FROM alerts WHERE owner = ?`
	readAlerts   = `UPDATE alerts SET read_at = ? WHERE owner = ? AND read_at = 0`
	deleteAlerts = `DELETE FROM alerts WHERE owner = ?`
	alertsOfIDs  = ` AND id IN `
)

type alertRow struct {
	ID             string `db:"id"`
	Owner          string `db:"owner"`
	EventID        string `db:"event_id"`
	SubscriptionID string `db:"subscription_id"`
	EventType      string `db:"event_type"`
	Level          string `db:"level"`
	Title          string `db:"title"`
	Text           string `db:"text"`
	Link           string `db:"link"`
	At             int64  `db:"at"`
	ReadAt         int64  `db:"read_at"`
}

func (r alertRow) alert() carillon.Alert {
	return carillon.Alert{
		ID: r.ID, Owner: r.Owner, EventID: r.EventID, SubscriptionID: r.SubscriptionID, EventType: r.EventType,
		Level: r.Level, Title: r.Title, Text: r.Text, Link: r.Link, At: instant(r.At), ReadAt: instant(r.ReadAt),
	}
}

// AddAlert puts an alert into its inbox, unless it is there: adding it again
// changes nothing. An inbox keeps the newest [carillon.MaxAlerts].
func (s *Store) AddAlert(ctx context.Context, a carillon.Alert) error {
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		written, err := exec(ctx, tx, insertAlert, carillon.NewID(carillon.AlertPrefix, a.At), a.Owner, a.EventID, a.SubscriptionID,
			a.EventType, a.Level, carillon.Clip(a.Title, carillon.MaxAlertTitleBytes), clipLines(a.Text, carillon.MaxAlertTextBytes),
			a.Link, micros(a.At))
		if err != nil || written == 0 {
			return err
		}
		_, err = exec(ctx, tx, capAlerts, a.Owner, a.Owner, carillon.MaxAlerts)
		return err
	})
	if err != nil {
		return fmt.Errorf("add alert: %w", err)
	}
	return nil
}

// clipLines is [carillon.Clip] of a text with several lines.
func clipLines(text string, n int) string {
	var clipped []string
	for line := range strings.Lines(text) {
		if line = carillon.Clip(strings.TrimSuffix(line, "\n"), n); n <= len(line) {
			break
		}
		n -= len(line) + 1
		clipped = append(clipped, line)
	}
	return strings.Join(clipped, "\n")
}

// Alerts lists alerts of an inbox, newest first, or oldest first after a time.
func (s *Store) Alerts(ctx context.Context, f carillon.AlertFilter) ([]carillon.Alert, error) {
	query, args := selectAlerts, []any{f.Owner}
	if f.Unread {
		query += alertsUnread
	}
	switch {
	case !f.After.IsZero():
		query, args = query+alertsAfter, append(args, micros(f.After), f.Limit)
	case f.Before != "":
		query, args = query+alertsBefore+alertsNewest, append(args, f.Before, f.Limit)
	default:
		query, args = query+alertsNewest, append(args, f.Limit)
	}
	rows, err := readAll[alertRow](ctx, s, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list alerts: %w", err)
	}
	alerts := make([]carillon.Alert, len(rows))
	for i, row := range rows {
		alerts[i] = row.alert()
	}
	return alerts, nil
}

// CountAlerts counts an inbox.
func (s *Store) CountAlerts(ctx context.Context, owner string) (count carillon.AlertCount, err error) {
	if count.Total, err = readOne[int](ctx, s, countAlerts, owner); err == nil {
		count.Unread, err = readOne[int](ctx, s, countAlerts+alertsUnread, owner)
	}
	if err != nil {
		return carillon.AlertCount{}, fmt.Errorf("count alerts: %w", err)
	}
	return count, nil
}

// ReadAlerts marks alerts as read, and says how many were not before.
func (s *Store) ReadAlerts(ctx context.Context, c carillon.AlertChoice, now time.Time) (int, error) {
	return s.changeAlerts(ctx, readAlerts, []any{micros(now), c.Owner}, c.IDs)
}

// DeleteAlerts removes alerts from an inbox, and says how many.
func (s *Store) DeleteAlerts(ctx context.Context, c carillon.AlertChoice) (int, error) {
	return s.changeAlerts(ctx, deleteAlerts, []any{c.Owner}, c.IDs)
}

func (s *Store) changeAlerts(ctx context.Context, query string, args []any, ids []string) (int, error) {
	if len(ids) > 0 {
		query += alertsOfIDs + values(1, len(ids))
		for _, id := range ids {
			args = append(args, id)
		}
	}
	var changed int64
	err := s.write(ctx, func(tx *sqlx.Tx) (err error) {
		changed, err = exec(ctx, tx, query, args...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("change alerts: %w", err)
	}
	return int(changed), nil
}
