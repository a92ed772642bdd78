// Package safehttp makes the HTTP client for addresses that strangers give: it
// reaches public receivers, and of the others only those that the operator
// allows.
//
// It knows HTTP and addresses, nothing of webhooks. Its one invariant: every
// connection's address is checked when it is dialled, after the name was
// looked up, so that no spelling, DNS answer or redirect leads around it. What
// speaks another protocol dials through the same check: [Policy.Dialer].
package safehttp

import (
	"crypto/tls"
	"net/http"
	"time"
)

// Limits of a connection. An answer's headers are bounded because they are
// read into memory whole; bodies are the caller's to bound.
const (
	tlsTimeout     = 10 * time.Second
	idleTimeout    = 60 * time.Second
	maxIdle        = 512
	maxIdlePerHost = 8 // as many attempts as may be in flight to one endpoint
	maxHeaderBytes = 16 << 10
	// ceiling ends requests whose caller set no deadline.
	ceiling = time.Minute
	// A dead HTTP/2 connection would fail every request on it until the system
	// gives it up, which takes about a quarter of an hour.
	pingAfter, pingTimeout = 15 * time.Second, 5 * time.Second
)

// NewClient makes a client that dials what the policy allows. It follows no
// redirect (the 3xx is the answer). Callers set deadlines by context; without
// one, a minute is the limit.
func NewClient(p Policy) *http.Client {
	return &http.Client{
		Transport:     NewTransport(p, nil),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       ceiling,
	}
}

// NewTransport makes what a client makes its connections with. It uses no proxy
// but the policy's (another would dial unseen) and expands no compressed body
// (a small one can hold gigabytes). identity, unless nil, holds the roots, the
// client certificate and the server's name to use instead of the usual ones;
// its connections are shared with no other transport.
func NewTransport(p Policy, identity *tls.Config) *http.Transport {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if identity != nil {
		secure = identity.Clone()
		secure.MinVersion = tls.VersionTLS12
	}
	return &http.Transport{
		DialContext:            p.dialHTTP(),
		Proxy:                  nil,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true, // a DialContext of one's own turns it off
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    tlsTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}
