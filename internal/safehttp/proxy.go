package safehttp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/proxy"
)

// ErrProxy is wrapped by the failures that are the egress proxy's own, and say
// nothing of the receiver.
var ErrProxy = errors.New("the egress proxy failed")

const (
	// proxyTimeout is for reaching the proxy, which is near: below the time that
	// an attempt has, so that the attempt can say whose failure it was.
	proxyTimeout = 3 * time.Second
	// maxTunnels is how many addresses of a name the proxy is asked for in turn.
	maxTunnels = 3
	// maxProxyAnswer bounds what is read of an answer to CONNECT.
	maxProxyAnswer = 16 << 10
)

// Proxy is the way out for HTTP where connections are not made directly. It is
// the operator's, and not checked as receivers are.
type Proxy struct {
	scheme, address, host string
	user                  *url.Userinfo
}

// ParseProxy reads the URL of a proxy. The error quotes nothing of it: it may
// hold a password.
func ParseProxy(text string) (*Proxy, error) {
	ports := map[string]string{"http": "80", "https": "443", "socks5": "1080"}
	u, err := url.Parse(text)
	if err != nil || ports[u.Scheme] == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("must be http://host:port, https://host:port or socks5://host:port, with user:password@ before the host if it asks for them")
	}
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	return &Proxy{scheme: u.Scheme, address: net.JoinHostPort(u.Hostname(), port), host: u.Hostname(), user: u.User}, nil
}

// tunnel connects through the proxy. The name is looked up here, and the proxy
// is asked for the address that was checked, so that it cannot come to another.
func (p Policy) tunnel(ctx context.Context, _, address string) (net.Conn, error) {
	targets, err := p.targets(ctx, address)
	if err != nil {
		return nil, err
	}
	for _, target := range targets {
		var conn net.Conn
		if conn, err = p.Proxy.connect(ctx, target); err == nil || errors.Is(err, ErrProxy) || ctx.Err() != nil {
			return conn, err
		}
	}
	return nil, err
}

// targets are the addresses of a host and port that may be dialled, at least
// one.
func (p Policy) targets(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: no host and port", ErrAddress)
	}
	resolver := p.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: no such port", ErrAddress)
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", host) // of an IP address, itself
	if err != nil {
		return nil, err
	}
	var allowed []netip.AddrPort
	var refused error
	for _, addr := range plain(addrs) {
		target := netip.AddrPortFrom(addr, uint16(port))
		if err := p.checkHTTP(ctx, target); err != nil {
			refused = err
		} else if len(allowed) < maxTunnels {
			allowed = append(allowed, target)
		}
	}
	if len(allowed) == 0 {
		return nil, refused
	}
	return allowed, nil
}

func (x *Proxy) connect(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	if x.scheme == "socks5" {
		return x.connectSOCKS(ctx, target)
	}
	conn, err := x.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := x.connectHTTP(ctx, conn, target); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// dial reaches the proxy itself.
func (x *Proxy) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	conn, err := dialer.DialContext(ctx, "tcp", x.address)
	if err != nil {
		return nil, &proxyError{"the egress proxy cannot be reached"}
	}
	if x.scheme != "https" {
		return conn, nil
	}
	secured := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: x.host})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &proxyError{"the egress proxy's TLS: " + explainTLS(err)}
	}
	return secured, nil
}

// connectHTTP asks for a tunnel, of plain HTTP as well: a proxy that forwards a
// request by its address would send that for the Host.
// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
func (x *Proxy) connectHTTP(ctx context.Context, conn net.Conn, target netip.AddrPort) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	ask := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: target.String()}, Host: target.String(), Header: http.Header{},
	}
	if x.user != nil {
		password, _ := x.user.Password()
		ask.SetBasicAuth(x.user.Username(), password)
		ask.Header = http.Header{"Proxy-Authorization": ask.Header["Authorization"]}
	}
	if err := ask.Write(conn); err != nil {
		return tunnelError(err)
	}
	reader := bufio.NewReader(io.LimitReader(conn, maxProxyAnswer))
	answer, err := http.ReadResponse(reader, ask)
	if err != nil {
		return tunnelError(err)
	}
	defer func() { _ = answer.Body.Close() }()
	switch {
	case answer.StatusCode/100 != 2:
		return refusedTunnel(answer)
	case reader.Buffered() > 0:
		return &proxyError{"the egress proxy's answer cannot be read"}
	}
	return conn.SetDeadline(time.Time{})
}

// tunnelError is of a proxy that did not answer: who took too long, it or the
// receiver, is not known, and what it sent is its own.
func tunnelError(err error) error {
	if isTimeout(err) {
		return &unreached{timeout: true}
	}
	return &proxyError{"the egress proxy's answer cannot be read"}
}

// refusedTunnel says whose failure an answer to CONNECT is.
func refusedTunnel(answer *http.Response) error {
	if answer.StatusCode == http.StatusGatewayTimeout {
		return &unreached{timeout: true}
	}
	if blamesReceiver(answer.Header) {
		return &unreached{}
	}
	reason := fmt.Sprintf("the egress proxy answers HTTP %d", answer.StatusCode)
	if answer.StatusCode == http.StatusProxyAuthRequired {
		reason += ": it asks for other credentials, or does not let Carillon out"
	}
	return &proxyError{reason}
}

// blamesReceiver reports whether a proxy says that it could not reach the
// receiver: by the standard's header, or as Squid and Smokescreen do.
// https://www.rfc-editor.org/rfc/rfc9209#section-2.3
func blamesReceiver(header http.Header) bool {
	status := header.Get("Proxy-Status")
	for _, word := range []string{
		"destination_unavailable", "destination_ip_unroutable", "connection_refused", "connection_terminated", "connection_timeout",
	} {
		if strings.Contains(status, "error="+word) {
			return true
		}
	}
	return strings.HasPrefix(header.Get("X-Squid-Error"), "ERR_CONNECT_FAIL") ||
		strings.HasPrefix(header.Get("X-Smokescreen-Error"), "Failed to connect to remote host")
}

// connectSOCKS asks a SOCKS5 proxy.
func (x *Proxy) connectSOCKS(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var auth *proxy.Auth
	if x.user != nil {
		password, _ := x.user.Password()
		auth = &proxy.Auth{User: x.user.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", x.address, auth, socksForward{x})
	withContext, ok := dialer.(proxy.ContextDialer)
	if err != nil || !ok {
		return nil, &proxyError{"the egress proxy cannot be used"}
	}
	conn, err := withContext.DialContext(ctx, "tcp", target.String())
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, ErrProxy):
		return nil, err
	case ctx.Err() != nil || isTimeout(err):
		return nil, &unreached{timeout: true}
	case socksBlamesReceiver(err):
		return nil, &unreached{}
	default:
		return nil, &proxyError{"the egress proxy refuses the connection"}
	}
}

// socksBlamesReceiver tells by its text what the library has no type for.
// https://www.rfc-editor.org/rfc/rfc1928#section-6
func socksBlamesReceiver(err error) bool {
	for _, reply := range []string{"network unreachable", "host unreachable", "connection refused", "TTL expired"} {
		if strings.HasSuffix(err.Error(), "unknown error "+reply) {
			return true
		}
	}
	return false
}

// socksForward reaches the proxy for the library.
type socksForward struct{ *Proxy }

// Dial implements the library's Dialer.
func (f socksForward) Dial(_, _ string) (net.Conn, error) { return f.dial(context.Background()) }

// DialContext implements the library's ContextDialer.
func (f socksForward) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return f.dial(ctx)
}

// proxyError is an error that wraps ErrProxy.
type proxyError struct{ reason string }

func (f *proxyError) Error() string { return f.reason }

func (f *proxyError) Unwrap() error { return ErrProxy }

// unreached is a receiver that the proxy could not reach; a [net.Error].
type unreached struct{ timeout bool }

func (u *unreached) Error() string {
	if u.timeout {
		return "the egress proxy made no connection in time"
	}
	return "the egress proxy could not connect"
}

// Timeout implements [net.Error].
func (u *unreached) Timeout() bool { return u.timeout }

// Temporary implements [net.Error].
func (u *unreached) Temporary() bool { return true }
