package safehttp_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/safehttp"
)

func TestTheZeroPolicyAllowsPublicAddressesOnly(t *testing.T) {
	t.Parallel()
	for reason, addresses := range map[string][]string{
		"": {
			"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
			"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "191.255.255.255", "192.0.3.0",
			"192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255",
			"198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "1.0.0.0", "168.63.129.15", "168.63.129.17",
			"192.31.195.255", "192.31.197.0", "192.52.192.255", "192.52.194.0", "192.175.47.255", "192.175.49.0", "223.0.0.1",
			"2620:4f:7fff:ffff::", "2620:4f:8001::", "2a00::5eff:7f00:1", "2a00::1:5efe:7f00:1", "2a00::5efe:101:101",
			"2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700:4700::1111", "3ffe::", "3fff:1000::",
			"::ffff:1.1.1.1",
		},
		"loopback":        {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"},
		"private network": {"10.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "fc00::", "fd00::1", "fdff:ffff::", "fec0::1", "::ffff:10.0.0.1"},
		"link-local":      {"169.254.0.0", "169.254.169.253", "169.254.255.255", "fe80::1", "fe80::1%eth0", "febf:ffff::", "::ffff:169.254.1.1"},
		"carrier":         {"100.64.0.0", "100.127.255.255"},
		"unspecified":     {"0.0.0.0", "0.255.255.255", "::", "::ffff:0.0.0.0"},
		"multicast":       {"224.0.0.0", "224.0.0.1", "239.255.255.255", "ff00::", "ff01::1", "ff02::1", "ff05::2", "ff08::1", "ff0e::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"broadcast":       {"255.255.255.255"},
		"reserved": {"192.0.0.0", "192.0.0.255", "240.0.0.0", "255.255.255.254", "::7f00:1", "100::", "100::ffff:ffff:ffff:ffff", "100:0:0:1::", "2001:1::1",
			"2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff:ffff::", "5f00::", "5f00::1", "5f00:ffff::", "192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1"},
		"documentation": {"192.0.2.0", "192.0.2.255", "198.51.100.1", "203.0.113.1", "2001:db8::", "2001:db8:ffff::", "3fff::", "3fff:fff:ffff::"},
		"benchmarks":    {"198.18.0.0", "198.19.255.255", "2001:2::", "2001:2:0:ffff::"},
		"translated": {"192.88.99.0", "192.88.99.255", "64:ff9b::7f00:1", "64:ff9b::101:101", "64:ff9b:1::", "64:ff9b:1:ffff::", "2002::", "2002:7f00:1::", "2002:ffff::",
			"2001::", "2001:0:53aa:64c::1", "2001:0:ffff::", "::ffff:0:0:0", "::ffff:0:7f00:1", "::ffff:0:101:101"},
		"not a public": {"1::", "64:ff9b::1:0:0", "64:ff9b:2::", "64:ff9b:0:ffff::", "100:0:0:2::", "::1:0:0:0", "::fffe:0:0:0", "5eff:ffff::", "5f01::", "1fff:ffff::", "4000::", "fbff::", "fe00::"},
		"metadata": {"169.254.169.254", "::ffff:169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::254%eth0", "fd00:ec2::23", "fd20:ce::254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::a9fe:a9fe",
			"169.254.0.23", "169.254.42.42", "fd00:42::42", "fd00:a9fe:a9fe::1", "fe80::a9fe:a9fe", "::ffff:0:a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
			"64:ff9b:1:a9fe:a9:fe00::", "2001:0:a9fe:a9fe::", "2001:0:101:101:0:0:5601:5601", "2a00::5efe:a9fe:a9fe", "2a00::200:5efe:a9fe:a9fe"},
		"loopback (": {"2a00::5efe:7f00:1", "2a00::200:5efe:7f00:1"},
	} {
		for _, address := range addresses {
			t.Run(reason+" "+address, func(t *testing.T) {
				t.Parallel()
				err := safehttp.Policy{}.Check(netip.MustParseAddr(address))
				if reason == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, safehttp.ErrAddress)
				require.ErrorContains(t, err, reason)
				require.NotContains(t, err.Error(), address)
			})
		}
	}
}

func TestAnAllowedPrefixOpensItselfOnly(t *testing.T) {
	t.Parallel()
	allow, err := safehttp.ParseAllow("10.1.0.0/16, 127.0.0.1,169.254.0.0/16,fd00::/8 ,64:ff9b::/96,168.63.129.16,0.0.0.0,::,")
	require.NoError(t, err)
	p := safehttp.Policy{Allow: allow}
	for address, allowed := range map[string]bool{
		"10.1.0.0": true, "10.1.255.255": true, "::ffff:10.1.2.3": true, "127.0.0.1": true, "169.254.1.1": true, "fd12::1": true,
		"64:ff9b::a01:203": true, "1.1.1.1": true,
		"10.0.255.255": false, "10.2.0.0": false, "127.0.0.2": false, "::1": false, "fc00::1": false, "2002:a01:203::": false,
		"0.0.0.0": false, "::": false, "169.254.169.254": false, "169.254.42.42": false, "fd00:ec2::254": false, "fd00:42::42": false, "64:ff9b::a9fe:a9fe": false, "168.63.129.16": false,
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			err := p.Check(netip.MustParseAddr(address))
			if allowed {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, safehttp.ErrAddress)
			}
		})
	}
}

func TestNoAddressIsNotAllowed(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, safehttp.Policy{}.Check(netip.Addr{}), safehttp.ErrAddress)
}

func TestARefusalTellsTheOperatorWhatCanAllowIt(t *testing.T) {
	t.Parallel()
	require.EqualError(t, safehttp.Policy{}.Check(netip.MustParseAddr("10.0.0.1")),
		"address not allowed: private network (CARILLON_ALLOW_CIDRS can allow it)")
	require.EqualError(t, safehttp.Policy{}.Check(netip.MustParseAddr("169.254.169.254")),
		"address not allowed: cloud metadata service")
}

func TestParseAllow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		list, problem string
		want          []string
	}{
		"nothing":                           {},
		"blanks and a last comma":           {list: " 10.0.0.0/8 , ::1/128,", want: []string{"10.0.0.0/8", "::1/128"}},
		"an address stands for itself":      {list: "127.0.0.1,::1", want: []string{"127.0.0.1/32", "::1/128"}},
		"a mapped address is its IPv4":      {list: "::ffff:127.0.0.1", want: []string{"127.0.0.1/32"}},
		"a mapped prefix would never match": {list: "::ffff:10.0.0.0/104", problem: "written as an IPv4 prefix"},
		"bits beyond the prefix":            {list: "10.1.2.3/8", problem: "write 10.0.0.0/8 or 10.1.2.3"},
		"a name":                            {list: "10.0.0.0/8,localhost", problem: `"localhost" is neither`},
		"a prefix too long":                 {list: "10.0.0.0/33", problem: "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := safehttp.ParseAllow(tc.list)
			if tc.problem != "" {
				require.ErrorContains(t, err, tc.problem)
				return
			}
			require.NoError(t, err)
			var texts []string
			for _, p := range got {
				texts = append(texts, p.String())
			}
			require.Equal(t, tc.want, texts)
		})
	}
}
