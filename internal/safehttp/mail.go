package safehttp

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// MailDialer dials what the policy allows for SMTP: the ports at which mail is
// handed over, and any port within the networks that the operator allows, where
// mail servers listen as they like.
func (p Policy) MailDialer() *net.Dialer {
	dialer := p.Dialer()
	allowed := dialer.ControlContext
	dialer.ControlContext = func(ctx context.Context, network, address string, conn syscall.RawConn) error {
		if err := allowed(ctx, network, address, conn); err != nil {
			return err
		}
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return p.CheckMail(target)
	}
	return dialer
}

// CheckMail says early what can be said of where mail would be handed over.
func (p Policy) CheckMail(target netip.AddrPort) error {
	addr := target.Addr().Unmap().WithZone("")
	if err := p.Check(addr); err != nil {
		return err
	}
	if slices.ContainsFunc(p.Allow, func(prefix netip.Prefix) bool { return prefix.Contains(addr) }) {
		return nil
	}
	return CheckMailPort(target.Port())
}
