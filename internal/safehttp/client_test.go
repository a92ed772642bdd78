package safehttp_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/safehttp"
)

var loopback = safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func get(t *testing.T, p safehttp.Policy, timeout time.Duration, target string) (*http.Response, error) {
	t.Helper()
	client := safehttp.NewClient(p)
	t.Cleanup(client.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func TestEverySpellingOfLoopbackIsRefused(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	server := serve(t, func(http.ResponseWriter, *http.Request) { visits.Add(1) })
	port := server.Listener.Addr().(*net.TCPAddr).Port
	for _, host := range []string{
		"127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"①②⑦.0.0.1", "user:password@127.0.0.1", "169.254.169.254", "10.0.0.1", "[fe80::1%25lo]",
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, safehttp.Policy{}, 5*time.Second, fmt.Sprintf("http://%s:%d/", host, port)) //nolint:bodyclose // there is none
			require.ErrorIs(t, err, safehttp.ErrAddress)
			require.Contains(t, safehttp.Explain(err), "address not allowed")
		})
	}
	t.Cleanup(func() { require.Zero(t, visits.Load()) })
}

func TestAnAllowedAddressIsReachedByNumberAndName(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
	port := server.Listener.Addr().(*net.TCPAddr).Port
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			resp, err := get(t, loopback, 5*time.Second, fmt.Sprintf("http://%s:%d/", host, port)) //nolint:bodyclose // closed by get
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "here", string(body))
		})
	}
}

func TestARedirectIsTheAnswerAndIsNeverVisited(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	second := serve(t, func(http.ResponseWriter, *http.Request) { visits.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		first := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, second.URL, status) })
		resp, err := get(t, loopback, 5*time.Second, first.URL) //nolint:bodyclose // closed by get
		require.NoError(t, err)
		require.Equal(t, status, resp.StatusCode)
	}
	require.Zero(t, visits.Load())
}

func TestAProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	var visits atomic.Int32
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { visits.Add(1) })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	// A name that needs the proxy: Go never asks one for loopback.
	_, err := get(t, loopback, 5*time.Second, "http://carillon.invalid/") //nolint:bodyclose // there is none
	require.Error(t, err)
	require.Zero(t, visits.Load())
}

func TestASlowDripIsCutByTheDeadline(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, ".")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(20 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	began := time.Now()
	resp, err := get(t, loopback, 300*time.Millisecond, server.URL) //nolint:bodyclose // closed by get
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestAGzipBombIsNotExpanded(t *testing.T) {
	t.Parallel()
	const expanded = 16 << 20
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		bomb := gzip.NewWriter(w)
		_, _ = io.CopyN(bomb, zeros{}, expanded)
		_ = bomb.Close()
	})
	resp, err := get(t, loopback, 30*time.Second, server.URL) //nolint:bodyclose // closed by get
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.Less(t, n, int64(expanded/100))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAHeaderBombIsAnError(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Bomb", strings.Repeat("x", 64<<10)) })
	_, err := get(t, loopback, 5*time.Second, server.URL) //nolint:bodyclose // there is none
	require.Error(t, err)
	require.Equal(t, "no valid HTTP answer", safehttp.Explain(err))
}

func TestHTTP2IsSpokenOverTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	client := safehttp.NewClient(loopback)
	t.Cleanup(client.CloseIdleConnections)
	trust(client, server)
	resp, err := client.Get(server.URL)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0", string(body))
}

func trust(client *http.Client, server *httptest.Server) {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := get(t, loopback, 5*time.Second, server.URL) //nolint:bodyclose // there is none
	require.Error(t, err)
	require.Equal(t, "TLS: no common version or cipher, or the receiver refused the handshake", safehttp.Explain(err))
}

func TestExplainOfWhatReallyHappens(t *testing.T) {
	t.Parallel()
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	closed := serve(t, func(http.ResponseWriter, *http.Request) {})
	closed.Close()
	silent := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	garbage := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "220 mail.example.com ESMTP marked\r\n\r\n")
			_ = conn.Close()
		}
	})
	hanging := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for want, target := range map[string]string{
		"connection refused":                               closed.URL,
		"connection closed without an answer":              silent.URL,
		"no valid HTTP answer":                             garbage.URL,
		"timed out":                                        hanging.URL,
		"TLS: certificate of an unknown authority":         secure.URL,
		"TLS: the receiver does not speak it on this port": strings.Replace(plain.URL, "http:", "https:", 1),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, loopback, time.Second, target) //nolint:bodyclose // there is none
			require.Error(t, err)
			require.Equal(t, want, safehttp.Explain(err))
		})
	}
}

func TestExplainNeverQuotesAnError(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"host name not found":                       &net.DNSError{Name: "marked", IsNotFound: true},
		"no route to the host":                      &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH},
		"connection closed without an answer":       syscall.ECONNRESET,
		"looking up the host name timed out":        &net.DNSError{Name: "marked", IsTimeout: true},
		"host name could not be looked up":          &net.DNSError{Name: "marked", Server: "10.0.0.53:53"},
		"TLS: certificate for another host name":    x509.HostnameError{Certificate: &x509.Certificate{}, Host: "marked"},
		"TLS: certificate expired or not yet valid": x509.CertificateInvalidError{Reason: x509.Expired, Detail: "marked"},
		"TLS: certificate not valid":                x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign, Detail: "marked"},
		"no valid HTTP answer":                      errors.New("marked"),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			wrapped := &url.Error{Op: "Post", URL: "https://hooks.example.com/marked", Err: err}
			require.Equal(t, want, safehttp.Explain(wrapped))
		})
	}
}
