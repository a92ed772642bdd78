package schema

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

const (
	// keptStatements is how many prepared statements a connection keeps: more
	// than there are texts on the way of an event, with its numbers of rows.
	keptStatements = 128
	// maxKeptText keeps out the statements of very many rows, which are rare and
	// hold memory.
	maxKeptText = 16 << 10
)

// preparing is a connector whose connections keep what they prepared. SQLite
// reads a text anew for every statement, which took longer than running it: two
// thirds of what an event asked of the database.
type preparing struct {
	driver driver.Driver
	place  string
}

// sqliteConn is what the connections of the driver are.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// sqliteStmt is what its statements are.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// Driver implements [driver.Connector].
func (p preparing) Driver() driver.Driver { return p.driver }

// Connect implements [driver.Connector].
func (p preparing) Connect(context.Context) (driver.Conn, error) {
	opened, err := p.driver.Open(p.place)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open database: %T is no connection to SQLite", opened), opened.Close())
	}
	return &preparingConn{sqliteConn: conn, kept: make(map[string]sqliteStmt)}, nil
}

// preparingConn is a connection with its prepared statements. Like every
// connection of a pool, it is used by one goroutine at a time.
type preparingConn struct {
	sqliteConn
	// kept holds, by their texts, the statements that nothing is using.
	kept map[string]sqliteStmt
}

// take returns a statement for the text, which is the caller's alone until it
// gives it back.
func (c *preparingConn) take(ctx context.Context, query string) (sqliteStmt, error) {
	if s, ok := c.kept[query]; ok {
		delete(c.kept, query)
		return s, nil
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(sqliteStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is no statement of SQLite", prepared), prepared.Close())
	}
	return s, nil
}

// giveBack keeps a statement for the next who asks for the text. Where there is
// no room, any other goes: the ones that are used most are soon back.
func (c *preparingConn) giveBack(query string, s sqliteStmt) error {
	if len(query) > maxKeptText || c.kept[query] != nil {
		return s.Close()
	}
	var err error
	if len(c.kept) == keptStatements {
		for text, other := range c.kept {
			delete(c.kept, text)
			err = other.Close()
			break
		}
	}
	c.kept[query] = s
	return err
}

// ExecContext implements [driver.ExecerContext].
func (c *preparingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args)
	if broken := c.giveBack(query, s); err == nil && broken != nil {
		return nil, broken
	}
	return result, err
}

// QueryContext implements [driver.QueryerContext].
func (c *preparingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, c.giveBack(query, s))
	}
	return &preparedRows{Rows: rows, done: func() error { return c.giveBack(query, s) }}, nil
}

// Close implements [driver.Conn].
func (c *preparingConn) Close() error {
	var err error
	for _, s := range c.kept {
		err = errors.Join(err, s.Close())
	}
	c.kept = nil
	return errors.Join(err, c.sqliteConn.Close())
}

// preparedRows gives its statement back when it is closed.
type preparedRows struct {
	driver.Rows
	done func() error
}

// Close implements [driver.Rows].
func (r *preparedRows) Close() error { return errors.Join(r.Rows.Close(), r.done()) }
