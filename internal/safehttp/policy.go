package safehttp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ErrAddress is wrapped by every refusal of a [Policy].
var ErrAddress = errors.New("address not allowed")

// Policy says which addresses may be dialled. The zero Policy allows public
// addresses only.
type Policy struct {
	// Allow holds further prefixes, for receivers on private networks. The
	// addresses of cloud metadata services stay refused even so.
	Allow []netip.Prefix
	// Resolver looks names up; nil is the system's.
	Resolver *net.Resolver
}

// Check returns nil when addr may be dialled, and otherwise an error that
// wraps [ErrAddress] and says for people what kind of address it is, without
// repeating it: of a name, the person may not know where it leads.
func (p Policy) Check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return &refusal{reason: "not an IP address"}
	}
	if isMetadata(addr) {
		return &refusal{reason: "cloud metadata service"}
	}
	for _, prefix := range p.Allow {
		if prefix.Contains(addr) {
			return nil
		}
	}
	for _, special := range specials {
		if special.prefix.Contains(addr) {
			return &refusal{reason: special.reason, allowable: true}
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return &refusal{reason: "not a public address", allowable: true}
	}
	return nil
}

// refusal is an error that wraps ErrAddress.
type refusal struct {
	reason    string
	allowable bool // an operator may allow it
}

func (r *refusal) Error() string {
	text := ErrAddress.Error() + ": " + r.reason
	if r.allowable {
		text += " (CARILLON_ALLOW_CIDRS can allow it)"
	}
	return text
}

func (r *refusal) Unwrap() error { return ErrAddress }

// ParseAllow reads a comma-separated list of prefixes ("10.0.0.0/8") and
// addresses ("127.0.0.1"). The error says which entry is wrong.
func ParseAllow(list string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		prefix, err := parsePrefix(entry)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func parsePrefix(entry string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(entry); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a prefix such as 10.0.0.0/8", entry)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q must be written as an IPv4 prefix", entry)
	}
	// 10.1.2.3/8 may stand for 10.0.0.0/8 or for 10.1.2.3: a wrong guess opens
	// a network.
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its prefix: write %s or %s", entry, prefix.Masked(), prefix.Addr())
	}
	return prefix, nil
}
