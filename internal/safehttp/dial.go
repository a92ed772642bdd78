package safehttp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// dialTimeout is for each address that a name came to.
const dialTimeout = 10 * time.Second

// Dialer dials what the policy allows, of any protocol, at any port. Whoever
// speaks another protocol than HTTP over it bounds the ports: see
// [CheckMailPort].
func (p Policy) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Resolver: p.Resolver, ControlContext: p.control}
}

// httpDialer is the Dialer for HTTP.
func (p Policy) httpDialer() *net.Dialer {
	dialer := p.Dialer()
	dialer.ControlContext = func(ctx context.Context, network, address string, conn syscall.RawConn) error {
		if target, err := netip.ParseAddrPort(address); err == nil {
			if err := CheckHTTPPort(target.Port()); err != nil {
				return err
			}
		}
		return p.control(ctx, network, address, conn)
	}
	return dialer
}

// control runs before each connect, with the address that the name came to.
func (p Policy) control(ctx context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %s", ErrAddress, network)
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: not an IP address", ErrAddress)
	}
	return p.CheckDial(ctx, target)
}

// CheckDial returns nil when a connection may be made to target: [Policy.Check]
// for its address, and none of Carillon's own listeners.
func (p Policy) CheckDial(_ context.Context, target netip.AddrPort) error {
	return p.Check(target.Addr())
}
