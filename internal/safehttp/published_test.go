package safehttp_test

import (
	"math"
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/safehttp"
)

// What others refuse, and what they take care to let through, by their tests.
// https://github.com/stripe/smokescreen/blob/master/pkg/smokescreen/address_policy_test.go
// https://github.com/svix/svix-webhooks/blob/main/server/svix-server/src/core/webhook_http_client.rs
// https://github.com/doyensec/safeurl/blob/main/ip.go
var published = map[string]struct{ refused, allowed []string }{
	"smokescreen": {
		refused: []string{
			"10.0.0.1", "10.0.1.1", "10.1.0.1", "172.16.0.1", "172.16.1.1", "192.168.0.1", "192.168.1.1", "192.168.1.100",
			"100.64.0.1", "100.64.0.100", "100.127.255.254", "127.0.0.1", "127.0.1.1", "127.255.255.255", "::1", "169.254.169.254",
			"255.255.255.255", "ff02:0:0:0:0:0:0:2", "64:ff9b::1", "64:ff9b::ac1c:5", "64:ff9b::c000:201", "64:ff9b::a00:1",
			"64:ff9b::808:808", "64:ff9b::ffff:ffff", "2002:c000:201::1", "2002:a00:1::1", "2002:808:808::1",
			"2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:1234:5678:9abc:def0:1234:5678", "fc00::1", "fd00::5", "::ffff:10.0.0.5",
			"64:ff9c::1", // there it is let through: it is outside of what is handed out
		},
		allowed: []string{"8.8.8.8", "8.8.4.4", "8.8.9.8", "1.1.1.1", "100.63.255.254", "100.128.0.1", "2001:4860:4860::8888", "2606:4700:4700::1111"},
	},
	"svix": {
		refused: []string{
			"10.254.0.0", "192.168.10.65", "172.16.10.65", "0.1.2.3", "0.0.0.0", "127.0.0.1", "169.254.45.1", "255.255.255.255",
			"192.0.2.255", "198.51.100.65", "203.0.113.6", "100.100.0.0", "192.0.0.0", "192.0.0.255", "250.10.20.30", "198.18.0.0",
			"::1", "::ffff:127.0.0.1", "::ffff:0.0.0.1",
			"0:0:0:ffff::1", // there it is let through: it is outside of what is handed out
		},
		allowed: []string{"1.1.1.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"},
	},
	"safeurl": {
		refused: []string{
			"127.127.127.127", "::ffff:192.0.2.1", "::", "192.168.0.0", "192.168.0.15", "192.88.99.1", "198.19.255.255", "224.0.0.1",
			"240.0.0.1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "fc00::1", "fe80::1", "ff00::1", "2002::1", "64:ff9b::7f00:1",
			"2001:10::1", "2001:20::1",
		},
		allowed: []string{"34.210.62.107", "216.239.34.21", "172.217.14.195"},
	},
}

func TestWhatOthersTestsRefuseIsRefused(t *testing.T) {
	t.Parallel()
	for whose, table := range published {
		for _, address := range table.refused {
			require.ErrorIs(t, safehttp.Policy{}.Check(netip.MustParseAddr(address)), safehttp.ErrAddress, "%s: %s", whose, address)
		}
		for _, address := range table.allowed {
			require.NoError(t, safehttp.Policy{}.Check(netip.MustParseAddr(address)), "%s: %s", whose, address)
		}
	}
}

func TestAURLIsRefusedForWhatItSaysItself(t *testing.T) {
	t.Parallel()
	for target, reason := range map[string]string{
		"http://hooks.example.com/": "", "https://hooks.example.com:8443/": "", "http://1.1.1.1/": "", "http://1e100.net/": "",
		"http://127.0.0.1.example.com/": "", "https://[2606:4700:4700::1111]/": "", "http://xn--mnchen-3ya.example/": "",
		"http://a.0xg/": "", "http://10.example/": "",

		"http://127.0.0.1/": "loopback", "http://127.0.0.1./": "four decimal", "http://[::1]/server-status": "loopback",
		"http://[0000::1]:80/": "loopback", "http://[::]:80/": "unspecified", "http://0.0.0.0/": "unspecified",
		"http://[::ffff:192.0.2.1]/": "documentation", "http://[fe80::1%25lo]/": "link-local", "http://①②⑦.0.0.1/": "loopback",
		"http://169.254.169.254/latest/meta-data": "metadata",
		// Spellings of 127.0.0.1 and 192.168.1.1 for other resolvers than Go's.
		"http://2130706433/": "four decimal", "http://3232235777/": "four decimal", "http://017700000001:80/": "four decimal",
		"http://0x7f000001/": "four decimal", "http://0xc0a80014/": "four decimal", "http://0x7f.0x0.0x00000000.0x01/": "four decimal",
		"http://0x0000007f.0x00000000.0x00000000.0x00000001/": "four decimal", "http://0/": "four decimal", "http://127.1/": "four decimal",
		"http://0177.0x0.0x0.0x1/": "four decimal", "http://0177.0.0.1/": "four decimal", "http://1.1.1.1.1/": "four decimal",
		"http://0x/": "four decimal", "http://256.0.0.1/": "four decimal", "http://１２７.１/": "four decimal",

		"http://hooks.example.com:25/": "port 25", "https://hooks.example.com:22/": "port 22", "http://hooks.example.com:6667/": "port 6667",
		"http://hooks.example.com:0/": "port 0", "http://127.0.0.1:22/": "port 22", "http://hooks.example.com:10080/": "port 10080",
		"http://hooks.example.com:99999/": "no such port",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(target)
			require.NoError(t, err)
			err = safehttp.Policy{}.CheckURL(t.Context(), u)
			if reason == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, safehttp.ErrAddress)
			require.ErrorContains(t, err, reason)
		})
	}
}

func TestPortsOfOtherProtocols(t *testing.T) {
	t.Parallel()
	refused := 0
	for port := range uint16(math.MaxUint16) {
		if safehttp.CheckHTTPPort(port) != nil {
			refused++
		}
	}
	require.Equal(t, 83, refused, "as many as https://fetch.spec.whatwg.org/#port-blocking lists")
	for _, port := range []uint16{80, 443, 8080, 8443, 3000, 5000, 9000, 65535} {
		require.NoError(t, safehttp.CheckHTTPPort(port))
	}
	for _, port := range []uint16{25, 465, 587, 2525} {
		require.NoError(t, safehttp.CheckMailPort(port))
	}
	for _, port := range []uint16{0, 22, 80, 443, 6379, 26, 588} {
		require.ErrorIs(t, safehttp.CheckMailPort(port), safehttp.ErrAddress)
	}
}
