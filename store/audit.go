package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon"
)

// auditPrefix begins the ids of audit entries.
const auditPrefix = "aud_"

const (
	insertAudit = `INSERT INTO audit (id, at, actor, action, object, detail, before, after)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	selectAudit      = `SELECT id, at, actor, action, object, detail, before, after FROM audit`
	orderAudit       = ` ORDER BY at DESC, id DESC LIMIT ?`
	auditOfObject    = `object = ?`
	auditBeforePlace = `(at, id) < (?, ?)`
)

// AuditFilter chooses audit entries. A zero field chooses nothing away.
type AuditFilter struct {
	// Object is the id of what was changed.
	Object string
	// BeforeAt and BeforeID are the place of the last entry seen: the list
	// goes on with what is older.
	BeforeAt time.Time
	BeforeID string
	// Limit is at least 1.
	Limit int
}

// AuditEntry is an entry with what it changed.
type AuditEntry struct {
	carillon.AuditEntry
	// Before and After are the object as JSON, without secrets; nil where there
	// was none.
	Before json.RawMessage
	After  json.RawMessage
}

type auditRow struct {
	ID     string `db:"id"`
	At     int64  `db:"at"`
	Actor  string `db:"actor"`
	Action string `db:"action"`
	Object string `db:"object"`
	Detail string `db:"detail"`
	Before string `db:"before"`
	After  string `db:"after"`
}

func (r auditRow) entry() AuditEntry {
	entry := AuditEntry{AuditEntry: carillon.AuditEntry{
		ID: r.ID, At: instant(r.At), Actor: r.Actor, Action: r.Action, Object: r.Object, Detail: r.Detail,
	}}
	if r.Before != "" {
		entry.Before = json.RawMessage(r.Before)
	}
	if r.After != "" {
		entry.After = json.RawMessage(r.After)
	}
	return entry
}

// Audit lists who changed what, newest first.
func (s *Store) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	var w where
	if f.Object != "" {
		w.and(auditOfObject, f.Object)
	}
	if f.BeforeID != "" {
		w.and(auditBeforePlace, micros(f.BeforeAt), f.BeforeID)
	}
	rows, err := readAll[auditRow](ctx, s, selectAudit+w.String()+orderAudit, append(w.args, f.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("list audit entries: %w", err)
	}
	entries := make([]AuditEntry, len(rows))
	for i, row := range rows {
		entries[i] = row.entry()
	}
	return entries, nil
}

// writeAudit adds an entry. Before and after are nil or values for JSON without
// secrets.
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
