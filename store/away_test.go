package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestADatabaseThatIsAwayIsToldFromOtherErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want carillon.Code
	}{
		{"connection refused", &net.OpError{Op: "dial", Err: errors.New("connection refused")}, carillon.CodeUnavailable},
		{"server shutting down", &pq.Error{Code: "57P01"}, carillon.CodeUnavailable},
		{"server starting", &pq.Error{Code: "57P03"}, carillon.CodeUnavailable},
		{"too many connections", &pq.Error{Code: "53300"}, carillon.CodeUnavailable},
		{"cut off", fmt.Errorf("read: %w", io.EOF), carillon.CodeUnavailable},
		{"bad connection", driver.ErrBadConn, carillon.CodeUnavailable},
		{"unique violation", &pq.Error{Code: "23505"}, carillon.CodeInternal},
		{"no rows", sql.ErrNoRows, carillon.CodeInternal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := away(tt.err)
			require.Equal(t, tt.want, carillon.CodeOf(err))
			require.ErrorIs(t, err, tt.err)
		})
	}
}
