package schema

import (
	"context"
	"net"
	"time"
)

// answerTimeout is how long a connection waits for the database's next bytes.
// Without it, a server that vanished without a word (a failover, a cut cable)
// would hold every connection until TCP gives up, a quarter of an hour later.
// It is above any query's own time limit.
const answerTimeout = 15 * time.Second

// dialer dials PostgreSQL.
type dialer struct{ net.Dialer }

// DialContext dials with the limits of an [impatientConn].
func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return impatientConn{conn}, nil
}

// Dial is what the driver asks a dialer to have; it calls DialContext.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout is what the driver asks a dialer to have; it calls DialContext.
func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// impatientConn gives up on a read or a write that takes longer than
// answerTimeout.
type impatientConn struct{ net.Conn }

func (c impatientConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c impatientConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
