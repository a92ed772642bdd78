package safehttp_test

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/safehttp"
)

func TestCarillonsOwnListenersAreNoReceivers(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	own := serve(t, func(http.ResponseWriter, *http.Request) { visits.Add(1) })
	other := serve(t, func(http.ResponseWriter, *http.Request) {})
	port := strconv.Itoa(own.Listener.Addr().(*net.TCPAddr).Port)
	all := safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	for name, listeners := range map[string]*safehttp.Listeners{
		"by its address":    safehttp.NewListeners("127.0.0.1:" + port),
		"by its name":       safehttp.NewListeners("localhost:" + port),
		"on all addresses":  safehttp.NewListeners("nonsense", ":"+port),
		"on all of IPv4":    safehttp.NewListeners("0.0.0.0:" + port),
		"on all of IPv6":    safehttp.NewListeners("[::]:" + port),
		"among others":      safehttp.NewListeners("carillon.invalid:"+port, "127.0.0.1:"+port),
		"where none is one": safehttp.NewListeners("", ":0", "127.0.0.1:", "127.0.0.1:x", ":"+port),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := all
			p.Own = listeners
			for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"} {
				_, err := get(t, p, 5*time.Second, "http://"+host+":"+port) //nolint:bodyclose // there is none
				require.ErrorIs(t, err, safehttp.ErrAddress, host)
			}
			_, err := p.Dialer().DialContext(t.Context(), "tcp", own.Listener.Addr().String())
			require.ErrorIs(t, err, safehttp.ErrAddress)
			resp, err := get(t, p, 5*time.Second, other.URL) //nolint:bodyclose // closed by get
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
		})
	}
	t.Cleanup(func() { require.Zero(t, visits.Load()) })
}

func TestAnotherAddressAtTheSamePortIsNoListenerOfCarillon(t *testing.T) {
	t.Parallel()
	p := loopback
	p.Own = safehttp.NewListeners("127.0.0.1:8080", "carillon.invalid:8080")
	require.NoError(t, p.CheckDial(t.Context(), netip.MustParseAddrPort("127.0.0.2:8080")))
	require.NoError(t, p.CheckDial(t.Context(), netip.MustParseAddrPort("127.0.0.1:8081")))
	require.Error(t, p.CheckDial(t.Context(), netip.MustParseAddrPort("[::ffff:127.0.0.1]:8080")))
}
