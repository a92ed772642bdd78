package safehttp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/idna"
)

// dialTimeout is for each address that a name came to.
const dialTimeout = 10 * time.Second

// Dialer dials what the policy allows, of any protocol, at any port, and never
// through the proxy. Whoever speaks another protocol than HTTP over it bounds
// the ports: see [CheckMailPort].
func (p Policy) Dialer() *net.Dialer {
	return p.dialer(p.CheckDial)
}

// dialer makes a dialer that asks check before each connect, with the address
// that the name came to.
func (p Policy) dialer(check func(context.Context, netip.AddrPort) error) *net.Dialer {
	return &net.Dialer{
		Timeout: dialTimeout, Resolver: p.Resolver,
		ControlContext: func(ctx context.Context, network, address string, _ syscall.RawConn) error {
			if network != "tcp4" && network != "tcp6" {
				return fmt.Errorf("%w: network %s", ErrAddress, network)
			}
			target, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: not an IP address", ErrAddress)
			}
			return check(ctx, target)
		},
	}
}

// dialHTTP is how HTTP is dialled.
func (p Policy) dialHTTP() func(ctx context.Context, network, address string) (net.Conn, error) {
	if p.Proxy != nil {
		return p.tunnel
	}
	return p.dialer(p.checkHTTP).DialContext
}

// CheckDial returns nil when a connection may be made to target: what
// [Policy.Check] allows, but for Carillon's own listeners.
func (p Policy) CheckDial(ctx context.Context, target netip.AddrPort) error {
	target = netip.AddrPortFrom(target.Addr().Unmap().WithZone(""), target.Port())
	if err := p.Check(target.Addr()); err != nil {
		return err
	}
	if p.Own.has(ctx, target) {
		return &refusal{reason: "Carillon itself, or what it keeps its data in, listens there"}
	}
	return nil
}

func (p Policy) checkHTTP(ctx context.Context, target netip.AddrPort) error {
	if err := CheckHTTPPort(target.Port()); err != nil {
		return err
	}
	return p.CheckDial(ctx, target)
}

// CheckURL says early what can be said of an http or https URL before its name
// is looked up: its port, and, of an IP address, what dialling it would come to.
func (p Policy) CheckURL(ctx context.Context, u *url.URL) error {
	port := uint64(80)
	if u.Scheme == "https" {
		port = 443
	}
	if text := u.Port(); text != "" {
		var err error
		if port, err = strconv.ParseUint(text, 10, 16); err != nil {
			return &refusal{reason: "there is no such port"}
		}
	}
	if err := CheckHTTPPort(uint16(port)); err != nil {
		return err
	}
	host := u.Hostname()
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii // digits have other spellings, too
	}
	addr, err := netip.ParseAddr(host)
	if err == nil {
		return p.CheckDial(ctx, netip.AddrPortFrom(addr, uint16(port)))
	}
	if endsInNumber(host) {
		return &refusal{reason: "an IP address must be written as four decimal numbers, such as 192.0.2.1"}
	}
	return nil
}

// endsInNumber reports whether some resolvers take the host for an IPv4
// address, such as 0x7f.1: no name ends so.
// https://url.spec.whatwg.org/#ends-in-a-number-checker
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
