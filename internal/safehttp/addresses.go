package safehttp

import (
	"net/netip"
	"slices"
)

// globalUnicast is all of IPv6 that is handed out for the public Internet; the
// specials inside it are listed below.
// https://www.iana.org/assignments/ipv6-address-space
var globalUnicast = netip.MustParsePrefix("2000::/3")

// metadata holds the addresses at which clouds hand out credentials to whoever
// asks from inside.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"),   // AWS, Azure, Google Cloud, DigitalOcean, OpenStack and others
	netip.MustParseAddr("169.254.170.2"),     // AWS ECS
	netip.MustParseAddr("169.254.170.23"),    // AWS EKS
	netip.MustParseAddr("169.254.0.23"),      // Tencent Cloud
	netip.MustParseAddr("169.254.42.42"),     // Scaleway
	netip.MustParseAddr("100.100.100.200"),   // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),     // Azure's host, in a public range
	netip.MustParseAddr("192.0.0.192"),       // Oracle Cloud
	netip.MustParseAddr("fd00:ec2::254"),     // AWS
	netip.MustParseAddr("fd00:ec2::23"),      // AWS EKS
	netip.MustParseAddr("fd20:ce::254"),      // Google Cloud
	netip.MustParseAddr("fd00:42::42"),       // Scaleway
	netip.MustParseAddr("fd00:a9fe:a9fe::1"), // Linode
	netip.MustParseAddr("fe80::a9fe:a9fe"),   // OpenStack
}

// isMetadata also looks into the IPv6 addresses that carry an IPv4 one, so that
// allowing a translated network allows no metadata service behind it.
func isMetadata(addr netip.Addr) bool {
	return slices.Contains(metadata, addr) ||
		slices.ContainsFunc(embedded(addr), func(inner netip.Addr) bool { return slices.Contains(metadata, inner) })
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765, 2.1
	compat     = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// embedded returns the IPv4 addresses that addr carries, or may carry.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	last := netip.AddrFrom4([4]byte(b[12:16]))
	switch {
	case nat64.Contains(addr), compat.Contains(addr), translated.Contains(addr):
		return []netip.Addr{last}
	case localNAT64.Contains(addr):
		// Where it is depends on the length of the prefix that a network chose.
		// https://www.rfc-editor.org/rfc/rfc6052#section-2.2
		return []netip.Addr{
			last,
			netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}),
			netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}),
			netip.AddrFrom4([4]byte{b[9], b[10], b[11], b[12]}),
		}
	case sixToFour.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case teredo.Contains(addr): // the server, and the client with its bits flipped
		return []netip.Addr{
			netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}),
		}
	case isISATAP(b):
		return []netip.Addr{last}
	default:
		return nil
	}
}

// isISATAP reports whether the address leads, through whoever routes its
// network, to the IPv4 address at its end.
// https://www.rfc-editor.org/rfc/rfc5214#section-6.1
func isISATAP(b [16]byte) bool {
	return b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
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
		{"for documentation", []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"}},
		{"for benchmarks", []string{"198.18.0.0/15", "2001:2::/48"}},
		{"translated to IPv4", []string{
			"192.88.99.0/24", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "2002::/16", "2001::/32",
		}},
		// Those of AMT and AS112 are served by whoever is nearest, maybe inside.
		{"reserved", []string{
			"192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24", "240.0.0.0/4",
			"::/96", "100::/64", "100:0:0:1::/64", "2001::/23", "2620:4f:8000::/48", "5f00::/16",
		}},
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
