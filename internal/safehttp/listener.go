package safehttp

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// ownAge is for how long the addresses of a listener's name count.
	ownAge = time.Minute
	// ownAgain is when one that was not found is looked for again.
	ownAgain = 10 * time.Second
	// ownTimeout bounds a look at them.
	ownTimeout = 2 * time.Second
)

// Listeners are where Carillon itself, and what it keeps its data in, listen:
// no receiver is there, whatever networks are allowed. They are safe for
// concurrent use; nil is none.
type Listeners struct {
	byPort map[uint16][]*listener
}

// listener is one of them. Its name is looked up when a connection to its port
// is about to be made, and seldom.
type listener struct {
	host string // empty for all addresses of this machine

	mu     sync.Mutex
	addrs  []netip.Addr
	until  time.Time
	looked bool
}

// NewListeners makes Listeners of addresses such as "127.0.0.1:8080", ":8080"
// and "temporal:7233". What is no such address is left out.
func NewListeners(addresses ...string) *Listeners {
	l := &Listeners{byPort: map[uint16][]*listener{}}
	for _, address := range addresses {
		host, text, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			continue
		}
		if addr, err := netip.ParseAddr(host); err == nil && addr.IsUnspecified() {
			host = ""
		}
		l.byPort[uint16(port)] = append(l.byPort[uint16(port)], &listener{host: host})
	}
	return l
}

// has reports whether one of them listens at target.
func (l *Listeners) has(ctx context.Context, target netip.AddrPort) bool {
	if l == nil {
		return false
	}
	for _, own := range l.byPort[target.Port()] {
		if own.host == "" && target.Addr().IsLoopback() || slices.Contains(own.addresses(ctx), target.Addr()) {
			return true
		}
	}
	return false
}

// addresses returns where it listens, or, while that cannot be found out, what
// was known last.
func (l *listener) addresses(ctx context.Context) []netip.Addr {
	l.mu.Lock()
	now := time.Now()
	if !now.After(l.until) {
		defer l.mu.Unlock()
		return l.addrs
	}
	// One looks, and once it was looked for the others go on with what is known:
	// a name that cannot be found must not hold up every connection.
	l.until = now.Add(ownAgain)
	wait := !l.looked
	l.looked = true
	if !wait {
		l.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, ownTimeout)
	defer cancel()
	addrs := lookupOwn(ctx, l.host)
	if !wait {
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if len(addrs) > 0 {
		l.addrs, l.until = addrs, now.Add(ownAge)
	}
	return l.addrs
}

func lookupOwn(ctx context.Context, host string) []netip.Addr {
	if host != "" {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil
		}
		return plain(addrs)
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	for _, a := range interfaces {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, prefix.Addr())
		}
	}
	return plain(addrs)
}

// plain returns the addresses as they are compared.
func plain(addrs []netip.Addr) []netip.Addr {
	for i, addr := range addrs {
		addrs[i] = addr.Unmap().WithZone("")
	}
	return addrs
}
