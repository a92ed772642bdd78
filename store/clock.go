package store

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon/schema"
)

const selectClock = `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`

// Clock returns the time of the database's machine. A SQLite file has none of
// its own: then own is false.
func (s *Store) Clock(ctx context.Context) (now time.Time, own bool, err error) {
	if s.driver == schema.SQLite {
		return time.Time{}, false, nil
	}
	at, err := readOne[int64](ctx, s, selectClock)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("read the database's clock: %w", err)
	}
	return instant(at), true, nil
}
