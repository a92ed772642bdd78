package safehttp_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/dnstest"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

var quiet = log.New(io.Discard, "", 0)

// twins starts a receiver at 127.0.0.2 and one at 127.0.0.1 with the same port,
// each counting its visits.
func twins(t *testing.T) (port string, allowed, forbidden *atomic.Int32) {
	t.Helper()
	allowed, forbidden = &atomic.Int32{}, &atomic.Int32{}
	first, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	_, port, err = net.SplitHostPort(first.Addr().String())
	require.NoError(t, err)
	second, err := net.Listen("tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	for listener, visits := range map[net.Listener]*atomic.Int32{first: allowed, second: forbidden} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			visits.Add(1)
			w.Header().Set("Connection", "close")
		}))
		_ = server.Listener.Close()
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
	}
	return port, allowed, forbidden
}

func TestANameThatMovesIsCheckedWhereItIsDialled(t *testing.T) {
	t.Parallel()
	port, allowed, forbidden := twins(t)
	dns := dnstest.Start(t)
	// 127.0.0.2 stands for what is public: tests call nobody else.
	dns.Answer("moves.test", "127.0.0.2", "127.0.0.1")
	dns.Answer("both.test", "127.0.0.3 127.0.0.1")
	dns.Answer("inside.test", "127.0.0.1 127.0.0.2")
	dns.Answer("mapped.test", "::ffff:127.0.0.1")
	p := safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/31")}, Resolver: safehttp.NewResolver(dns.Addr())}

	_, err := get(t, p, 5*time.Second, "http://moves.test:"+port) //nolint:bodyclose // closed by get
	require.NoError(t, err)
	_, err = get(t, p, 5*time.Second, "http://moves.test:"+port) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, safehttp.ErrAddress)
	_, err = get(t, p, 5*time.Second, "http://both.test:"+port) //nolint:bodyclose // there is none
	require.Equal(t, "connection refused", safehttp.Explain(err), "of the first, where nobody listens")
	_, err = get(t, p, 5*time.Second, "http://inside.test:"+port) //nolint:bodyclose // closed by get
	require.NoError(t, err)
	_, err = get(t, p, 5*time.Second, "http://mapped.test:"+port) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, safehttp.ErrAddress)
	_, err = get(t, p, 5*time.Second, "http://unknown.test:"+port) //nolint:bodyclose // there is none
	require.Equal(t, "host name not found", safehttp.Explain(err))

	require.EqualValues(t, 2, allowed.Load())
	require.Zero(t, forbidden.Load())
	require.Equal(t, 2, dns.Asked("moves.test"))
}
