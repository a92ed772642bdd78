package safehttp_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/safehttp"
)

func TestMailIsHandedOverAtItsPorts(t *testing.T) {
	t.Parallel()
	inside := safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for target, want := range map[string]string{
		"192.0.66.2:25": "", "192.0.66.2:465": "", "192.0.66.2:587": "", "192.0.66.2:2525": "",
		"192.0.66.2:80":   "mail is handed over at the ports 25, 465, 587 and 2525, not at 80",
		"192.0.66.2:6379": "mail is handed over at",
		"10.1.2.3:1025":   "", // the operator's own network
		"127.0.0.1:25":    "loopback",
		"127.0.0.1:6379":  "loopback",
	} {
		err := inside.CheckMail(netip.MustParseAddrPort(target))
		if want == "" {
			require.NoError(t, err, target)
			continue
		}
		require.ErrorIs(t, err, safehttp.ErrAddress, target)
		require.ErrorContains(t, err, want, target)
	}
}

func TestAConnectionForMailIsCheckedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })

	_, err = safehttp.Policy{}.MailDialer().DialContext(t.Context(), "tcp", l.Addr().String())
	require.ErrorIs(t, err, safehttp.ErrAddress)
	require.Equal(t, "address not allowed: loopback (CARILLON_ALLOW_CIDRS can allow it)", safehttp.Explain(err))

	allowed := safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	conn, err := allowed.MailDialer().DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
