package safehttp

import "net/netip"

// globalUnicast is all of IPv6 that is handed out for the public Internet; the
// specials inside it are listed below.
// https://www.iana.org/assignments/ipv6-address-space
var globalUnicast = netip.MustParsePrefix("2000::/3")

// metadata holds the addresses at which clouds hand out credentials to whoever
// asks from inside.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), // AWS, Azure, Google Cloud, DigitalOcean, OpenStack and others
	netip.MustParseAddr("169.254.170.2"),   // AWS ECS
	netip.MustParseAddr("169.254.170.23"),  // AWS EKS
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure's host, in a public range
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd00:ec2::23"),    // AWS EKS
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
}

// isMetadata also looks into the IPv6 addresses that carry an IPv4 one, so that
// allowing a translated network allows no metadata service behind it.
func isMetadata(addr netip.Addr) bool {
	inner := embedded(addr)
	for _, m := range metadata {
		if addr == m || inner == m {
			return true
		}
	}
	return false
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056
	compat    = netip.MustParsePrefix("::/96")        // RFC 4291, 2.5.5.1
)

// embedded returns the IPv4 address that addr carries, or the zero Addr.
func embedded(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return netip.Addr{}
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), compat.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6]))
	default:
		return netip.Addr{}
	}
}

// specials are the prefixes that lead to no public receiver; the first that
// contains an address gives the reason.
// https://www.iana.org/assignments/iana-ipv4-special-registry
// https://www.iana.org/assignments/iana-ipv6-special-registry
var specials = func() []special {
	var all []special
	for _, group := range []struct {
		reason   string
		prefixes []string
	}{
		{"loopback", []string{"127.0.0.0/8", "::1/128"}},
		{"private network", []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"}},
		{"link-local", []string{"169.254.0.0/16", "fe80::/10"}},
		{"shared by a carrier's customers", []string{"100.64.0.0/10"}},
		{"unspecified", []string{"0.0.0.0/8", "::/128"}},
		{"multicast", []string{"224.0.0.0/4", "ff00::/8"}},
		{"broadcast", []string{"255.255.255.255/32"}},
		{"reserved", []string{"192.0.0.0/24", "240.0.0.0/4", "::/96", "100::/64", "2001::/23", "5f00::/16"}},
		{"for documentation", []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"}},
		{"for benchmarks", []string{"198.18.0.0/15"}},
		{"translated to IPv4", []string{"192.88.99.0/24", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"}},
	} {
		for _, p := range group.prefixes {
			all = append(all, special{netip.MustParsePrefix(p), group.reason})
		}
	}
	return all
}()

type special struct {
	prefix netip.Prefix
	reason string
}
