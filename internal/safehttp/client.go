// Package safehttp makes the HTTP client for addresses that strangers give: it
// reaches public receivers, and of the others only those that the operator
// allows.
//
// It knows HTTP and addresses, nothing of webhooks. Its one invariant: every
// connection's address is checked when it is dialled, after the name was
// looked up, so that no spelling, DNS answer or redirect leads around it.
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
// redirect (the 3xx is the answer), uses no proxy (a proxy would dial unseen)
// and expands no compressed body (a small one can hold gigabytes). Callers set
// deadlines by context; without one, a minute is the limit.
func NewClient(p Policy) *http.Client {
	dialer := p.httpDialer()
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			Proxy:                  nil,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true, // a DialContext of one's own turns it off
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    tlsTimeout,
			MaxIdleConns:           maxIdle,
			MaxIdleConnsPerHost:    maxIdlePerHost,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       ceiling,
	}
}
