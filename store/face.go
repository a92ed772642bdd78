package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const (
	selectFaceNumbers      = `SELECT number, subscription_id FROM face_numbers WHERE face = ?`
	selectFaceSubscription = `SELECT subscription_id FROM face_numbers WHERE face = ? AND number = ?`
	insertFaceNumber       = `INSERT INTO face_numbers (face, number, subscription_id)
		SELECT CAST(? AS TEXT), COALESCE(MAX(number), 0) + 1, CAST(? AS TEXT) FROM face_numbers WHERE face = ?
		ON CONFLICT (face, subscription_id) DO NOTHING`
)

type faceNumberRow struct {
	Number         int64  `db:"number"`
	SubscriptionID string `db:"subscription_id"`
}

// FaceNumbers returns the numbers by which another product's API knows the
// subscriptions. Those that have none get the next ones, in their order; a
// number never comes to mean another subscription.
func (s *Store) FaceNumbers(ctx context.Context, face string, subscriptions []string) (map[string]int64, error) {
	numbers, err := s.faceNumbers(ctx, face)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, id := range subscriptions {
		if _, ok := numbers[id]; !ok {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return numbers, nil
	}
	// One at a time, as changes of the configuration are: two that count at once
	// would come to the same number.
	err = s.changeConfig(ctx, "", func(tx *sqlx.Tx, _ int64) error {
		for _, id := range missing {
			if _, err := exec(ctx, tx, insertFaceNumber, face, id, face); err != nil {
				return fmt.Errorf("number subscription %s for %s: %w", id, face, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.faceNumbers(ctx, face)
}

func (s *Store) faceNumbers(ctx context.Context, face string) (map[string]int64, error) {
	rows, err := readAll[faceNumberRow](ctx, s, selectFaceNumbers, face)
	if err != nil {
		return nil, fmt.Errorf("read numbers of %s: %w", face, err)
	}
	numbers := make(map[string]int64, len(rows))
	for _, row := range rows {
		numbers[row.SubscriptionID] = row.Number
	}
	return numbers, nil
}

// FaceSubscription returns the id of the subscription that has the number, or
// an error of [carillon.CodeNotFound]. It may be deleted by now.
func (s *Store) FaceSubscription(ctx context.Context, face string, number int64) (string, error) {
	id, err := readOne[string](ctx, s, selectFaceSubscription, face, number)
	if errors.Is(err, sql.ErrNoRows) {
		return "", carillon.Errorf(carillon.CodeNotFound, "there is no subscription with the number %d", number)
	}
	if err != nil {
		return "", fmt.Errorf("read number %d of %s: %w", number, face, err)
	}
	return id, nil
}
