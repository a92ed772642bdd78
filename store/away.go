package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/lib/pq"

	"github.com/carillon-dev/carillon"
)

// away makes an error that says that the database cannot be used now one of
// [carillon.CodeUnavailable]; every other error stays as it is.
func away(err error) error {
	if err == nil || !isAway(err) {
		return err
	}
	return &carillon.Error{Code: carillon.CodeUnavailable, Message: "the database does not answer", Err: err}
}

func isAway(err error) bool {
	for _, broken := range []error{driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded} {
		if errors.Is(err, broken) {
			return true
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	// Class 08 is connections, 57P the operator's interventions (a server that
	// stops or starts), 53300 too many connections.
	// https://www.postgresql.org/docs/current/errcodes-appendix.html
	if refused, ok := errors.AsType[*pq.Error](err); ok {
		code := string(refused.Code)
		return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P") || code == "53300"
	}
	return false
}
