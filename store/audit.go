package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

// auditPrefix begins the ids of audit entries.
const auditPrefix = "aud_"

const (
	insertAudit = `INSERT INTO audit (id, at, actor, action, object, detail, before, after)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	// Keys keep their names and are never deleted, so the name is looked up.
	selectAudit = `SELECT a.id, a.at, a.actor, COALESCE(k.name, '') AS actor_name, a.action, a.object, a.detail,
		a.before, a.after FROM audit a LEFT JOIN keys k ON k.id = a.actor`
	orderAudit       = ` ORDER BY a.at DESC, a.id DESC LIMIT ?`
	auditOfObject    = `a.object = ?`
	auditOfActor     = `a.actor = ?`
	auditOfAction    = `a.action = ?`
	auditSince       = `a.at >= ?`
	auditUntil       = `a.at < ?`
	auditBeforePlace = `(a.at, a.id) < (?, ?)`
)

type auditRow struct {
	ID        string `db:"id"`
	At        int64  `db:"at"`
	Actor     string `db:"actor"`
	ActorName string `db:"actor_name"`
	Action    string `db:"action"`
	Object    string `db:"object"`
	Detail    string `db:"detail"`
	Before    string `db:"before"`
	After     string `db:"after"`
}

func (r auditRow) entry() carillon.AuditEntry {
	entry := carillon.AuditEntry{
		ID: r.ID, At: instant(r.At), Actor: r.Actor, ActorName: r.ActorName, Action: r.Action, Object: r.Object,
		Detail: r.Detail,
	}
	if r.Before != "" {
		entry.Before = json.RawMessage(r.Before)
	}
	if r.After != "" {
		entry.After = json.RawMessage(r.After)
	}
	return entry
}

// Audit lists who changed what, newest first.
func (s *Store) Audit(ctx context.Context, f carillon.AuditFilter) ([]carillon.AuditEntry, error) {
	var w where
	for _, wanted := range []struct{ condition, value string }{
		{auditOfObject, f.Object}, {auditOfActor, f.Actor}, {auditOfAction, f.Action},
	} {
		if wanted.value != "" {
			w.and(wanted.condition, wanted.value)
		}
	}
	if !f.Since.IsZero() {
		w.and(auditSince, micros(f.Since))
	}
	if !f.Until.IsZero() {
		w.and(auditUntil, micros(f.Until))
	}
	if f.Before.ID != "" {
		w.and(auditBeforePlace, micros(f.Before.At), f.Before.ID)
	}
	rows, err := readAll[auditRow](ctx, s, selectAudit+w.String()+orderAudit, append(w.args, f.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("list audit entries: %w", err)
	}
	entries := make([]carillon.AuditEntry, len(rows))
	for i, row := range rows {
		entries[i] = row.entry()
	}
	return entries, nil
}

// AddAudit adds an entry about something that is no change of a row here.
func (s *Store) AddAudit(ctx context.Context, entry carillon.AuditEntry) error {
	return s.write(ctx, func(tx *sqlx.Tx) error { return writeAudit(ctx, tx, entry, nil, nil) })
}

// writeAudit adds an entry. Before and after, which stand for those of the
// entry, are nil or values for JSON without secrets.
func writeAudit(ctx context.Context, q queryer, entry carillon.AuditEntry, before, after any) error {
	texts := [2]string{}
	for i, object := range [2]any{before, after} {
		if object != nil {
			texts[i] = asJSON(object)
		}
	}
	_, err := exec(ctx, q, insertAudit, carillon.NewID(auditPrefix, entry.At), micros(entry.At), entry.Actor,
		entry.Action, entry.Object, entry.Detail, texts[0], texts[1])
	if err != nil {
		return fmt.Errorf("write audit entry: %w", err)
	}
	return nil
}
