package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	selectThread = `SELECT thread FROM threads WHERE subscription_id = ? AND topic = ?`
	// An attempt can outlast its subscription, whose threads are gone by then.
	keepThread = `INSERT INTO threads (subscription_id, topic, thread, updated_at)
		SELECT id, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT) FROM subscriptions WHERE id = ?
		ON CONFLICT (subscription_id, topic) DO UPDATE SET thread = excluded.thread, updated_at = excluded.updated_at`
	deleteThreads = `DELETE FROM threads WHERE subscription_id = ?`
	pruneThreads  = `DELETE FROM threads WHERE (subscription_id, topic) IN (
		SELECT subscription_id, topic FROM threads WHERE updated_at < ? ORDER BY updated_at LIMIT ?)`
)

// FindThread returns what a channel kept of a topic of a subscription; nil when
// there is nothing.
func (s *Store) FindThread(ctx context.Context, subscription, topic string) (json.RawMessage, error) {
	thread, err := readOne[string](ctx, s, selectThread, subscription, topic)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a thread of subscription %s: %w", subscription, err)
	}
	return json.RawMessage(thread), nil
}

// KeepThread keeps what [Store.FindThread] is to return from now on. Of a
// subscription that was deleted it keeps nothing.
func (s *Store) KeepThread(ctx context.Context, subscription, topic string, thread json.RawMessage, now time.Time) error {
	err := again(func() error {
		_, err := exec(ctx, s.writer, keepThread, topic, string(thread), micros(now), subscription)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a thread of subscription %s: %w", subscription, away(err))
	}
	return nil
}

// PruneThreads removes at most limit threads that were not used since before,
// and says how many.
func (s *Store) PruneThreads(ctx context.Context, before time.Time, limit int) (int, error) {
	var removed int64
	err := again(func() (err error) {
		removed, err = exec(ctx, s.writer, pruneThreads, micros(before), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("prune threads: %w", away(err))
	}
	return int(removed), nil
}
