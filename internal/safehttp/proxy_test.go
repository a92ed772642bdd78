package safehttp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/dnstest"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

// relay is an egress proxy, of both kinds, that notes what it is asked for.
type relay struct {
	mu      sync.Mutex
	targets []string
	auth    []string
	// status and header answer CONNECT unless status is 0; reply answers SOCKS.
	status int
	header http.Header
	reply  byte
}

func (r *relay) note(target, auth string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.targets, r.auth = append(r.targets, target), append(r.auth, auth)
}

func (r *relay) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.targets
}

// ServeHTTP answers CONNECT.
func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.note(req.Method+" "+req.Host, req.Header.Get("Proxy-Authorization"))
	if r.status != 0 {
		maps.Copy(w.Header(), r.header)
		w.WriteHeader(r.status)
		return
	}
	out, err := new(net.Dialer).DialContext(req.Context(), "tcp", req.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	pipe(conn, out)
}

func pipe(a, b net.Conn) {
	go func() {
		_, _ = io.Copy(a, b)
		_ = a.Close()
	}()
	_, _ = io.Copy(b, a)
	_ = b.Close()
}

// socks answers as RFC 1928 and RFC 1929 have it.
func (r *relay) socks(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	take := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(in, b)
		return b
	}
	methods := take(int(take(2)[1]))
	auth := ""
	if strings.Contains(string(methods), "\x02") {
		_, _ = conn.Write([]byte{5, 2})
		user := string(take(int(take(2)[1])))
		auth = user + ":" + string(take(int(take(1)[0])))
		_, _ = conn.Write([]byte{1, 0})
	} else {
		_, _ = conn.Write([]byte{5, 0})
	}
	ask := take(4)
	var host string
	switch ask[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(take(4))).String()
	case 4:
		host = netip.AddrFrom16([16]byte(take(16))).String()
	default:
		host = string(take(int(take(1)[0])))
	}
	port := take(2)
	target := net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1])))
	r.note("SOCKS "+target, auth)
	_, _ = conn.Write([]byte{5, r.reply, 0, 1, 0, 0, 0, 0, 0, 0})
	if r.reply != 0 {
		return
	}
	if out, err := net.Dial("tcp", target); err == nil {
		pipe(conn, out)
	}
}

// proxied starts the proxy and returns a policy that uses it.
func proxied(t *testing.T, scheme string, r *relay) safehttp.Policy {
	t.Helper()
	var address string
	if scheme == "socks5" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go r.socks(conn)
			}
		}()
		address = l.Addr().String()
	} else {
		server := httptest.NewServer(r)
		t.Cleanup(server.Close)
		address = server.Listener.Addr().String()
	}
	return through(t, scheme+"://user:p%40ss@"+address)
}

func through(t *testing.T, url string) safehttp.Policy {
	t.Helper()
	proxy, err := safehttp.ParseProxy(url)
	require.NoError(t, err)
	p := loopback
	p.Proxy = proxy
	return p
}

func TestAProxyIsAskedForTheAddressThatWasChecked(t *testing.T) {
	t.Parallel()
	dns := dnstest.Start(t)
	dns.Answer("hooks.test", "127.0.0.1")
	dns.Answer("example.com", "127.0.0.1")
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	t.Cleanup(secure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	for _, scheme := range []string{"http", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			r := &relay{}
			p := proxied(t, scheme, r)
			p.Resolver = safehttp.NewResolver(dns.Addr())
			transport := safehttp.NewTransport(p, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
			t.Cleanup(transport.CloseIdleConnections)
			for _, target := range []string{
				strings.Replace(plain.URL, "127.0.0.1", "hooks.test", 1), strings.Replace(secure.URL, "127.0.0.1", "example.com", 1),
			} {
				resp, err := (&http.Client{Transport: transport}).Get(target)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Contains(t, target, "//"+string(body), "the receiver is told the name")
			}
			word := map[string]string{"http": "CONNECT", "socks5": "SOCKS"}[scheme]
			require.Equal(t, []string{word + " " + plain.Listener.Addr().String(), word + " " + secure.Listener.Addr().String()}, r.asked())
			auth := map[string]string{"http": "Basic " + base64.StdEncoding.EncodeToString([]byte("user:p@ss")), "socks5": "user:p@ss"}[scheme]
			require.Equal(t, []string{auth, auth}, r.auth)
		})
	}
}

func TestWhatMayNotBeDialledIsNotAskedOfAProxyEither(t *testing.T) {
	t.Parallel()
	dns := dnstest.Start(t)
	dns.Answer("inside.test", "10.0.0.1 169.254.169.254")
	dns.Answer("one.test", "10.0.0.1 127.0.0.1")
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	port := server.Listener.Addr().(*net.TCPAddr).Port
	r := &relay{}
	p := proxied(t, "http", r)
	p.Resolver = safehttp.NewResolver(dns.Addr())
	p.Own = safehttp.NewListeners("127.0.0.1:4750")
	for _, host := range []string{
		"inside.test:80", "169.254.169.254:80", "[::ffff:10.0.0.1]:80", "[fe80::1%25lo]:80", "0.0.0.0:80", "127.0.0.1:4750", "127.0.0.1:25",
	} {
		_, err := get(t, p, 5*time.Second, "http://"+host+"/") //nolint:bodyclose // there is none
		require.ErrorIs(t, err, safehttp.ErrAddress, host)
		require.NotErrorIs(t, err, safehttp.ErrProxy)
	}
	_, err := get(t, p, 5*time.Second, "http://unknown.test/") //nolint:bodyclose // there is none
	require.Equal(t, "host name not found", safehttp.Explain(err))
	require.Empty(t, r.asked())

	_, err = get(t, p, 5*time.Second, fmt.Sprintf("http://one.test:%d/", port)) //nolint:bodyclose // closed by get
	require.NoError(t, err)
	require.Equal(t, []string{"CONNECT " + server.Listener.Addr().String()}, r.asked())
}

func TestAProxysOwnFailureIsToldFromTheReceivers(t *testing.T) {
	t.Parallel()
	failing := func(status int, header ...string) func(t *testing.T) safehttp.Policy {
		return func(t *testing.T) safehttp.Policy {
			t.Helper()
			r := &relay{status: status, header: http.Header{}}
			if len(header) > 0 {
				r.header.Set(header[0], header[1])
			}
			return proxied(t, "http", r)
		}
	}
	replying := func(reply byte) func(t *testing.T) safehttp.Policy {
		return func(t *testing.T) safehttp.Policy { t.Helper(); return proxied(t, "socks5", &relay{reply: reply}) }
	}
	says := func(text string) func(t *testing.T) safehttp.Policy {
		return func(t *testing.T) safehttp.Policy {
			t.Helper()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
					_, _ = io.WriteString(conn, text)
					_ = conn.Close()
				}
			})
			return through(t, "http://"+server.Listener.Addr().String())
		}
	}
	for name, tc := range map[string]struct {
		policy func(t *testing.T) safehttp.Policy
		own    bool
		text   string
	}{
		"it asks for credentials":        {failing(407), true, "the egress proxy answers HTTP 407: it asks for other credentials, or does not let Carillon out"},
		"it fails":                       {failing(502), true, "the egress proxy answers HTTP 502"},
		"it is busy":                     {failing(503), true, "the egress proxy answers HTTP 503"},
		"it forbids":                     {failing(403), true, "the egress proxy answers HTTP 403"},
		"it redirects":                   {failing(302, "Location", "http://127.0.0.1/"), true, "the egress proxy answers HTTP 302"},
		"it says nothing":                {says(""), true, "the egress proxy's answer cannot be read"},
		"it is no proxy":                 {says("220 mail.example.com ESMTP marked\r\n"), true, "the egress proxy's answer cannot be read"},
		"it says more than it should":    {says("HTTP/1.1 200 OK\r\n\r\nmarked"), true, "the egress proxy's answer cannot be read"},
		"its header never ends":          {says("HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("marked", 16<<10)), true, "the egress proxy's answer cannot be read"},
		"SOCKS: it forbids":              {replying(2), true, "the egress proxy refuses the connection"},
		"SOCKS: it fails":                {replying(1), true, "the egress proxy refuses the connection"},
		"the receiver is away, by 9209":  {failing(502, "Proxy-Status", `squid; error=connection_refused; details="marked"`), false, "the egress proxy could not connect"},
		"the receiver is away, of Squid": {failing(503, "X-Squid-Error", "ERR_CONNECT_FAIL 111"), false, "the egress proxy could not connect"},
		"the receiver is slow":           {failing(504), false, "the egress proxy made no connection in time"},
		"SOCKS: the receiver is away":    {replying(5), false, "the egress proxy could not connect"},
		"SOCKS: the receiver is nowhere": {replying(4), false, "the egress proxy could not connect"},
		"nobody is there": {func(t *testing.T) safehttp.Policy {
			t.Helper()
			closed := serve(t, nil)
			closed.Close()
			return through(t, "http://"+closed.Listener.Addr().String())
		}, true, "the egress proxy cannot be reached"},
		"SOCKS: nobody is there": {func(t *testing.T) safehttp.Policy {
			t.Helper()
			closed := serve(t, nil)
			closed.Close()
			return through(t, "socks5://"+closed.Listener.Addr().String())
		}, true, "the egress proxy cannot be reached"},
		"its certificate is nobody's": {func(t *testing.T) safehttp.Policy {
			t.Helper()
			server := httptest.NewUnstartedServer(&relay{})
			server.Config.ErrorLog = quiet
			server.StartTLS()
			t.Cleanup(server.Close)
			return through(t, server.URL)
		}, true, "the egress proxy's TLS: certificate of an unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, tc.policy(t), 5*time.Second, "http://127.0.0.1:8999/") //nolint:bodyclose // there is none
			require.Error(t, err)
			require.Equal(t, tc.own, errors.Is(err, safehttp.ErrProxy), err)
			require.Equal(t, tc.text, safehttp.Explain(err))
		})
	}
}

func TestAProxyThatDoesNotAnswerEndsWithTheAttempt(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{})
	server := serve(t, func(http.ResponseWriter, *http.Request) { <-hanging })
	t.Cleanup(func() { close(hanging) })
	_, err := get(t, through(t, "http://"+server.Listener.Addr().String()), 200*time.Millisecond, "http://127.0.0.1:8999/") //nolint:bodyclose // there is none
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestParseProxy(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"http://proxy.internal:3128", "https://user:marked@proxy.internal", "socks5://10.0.0.1", "http://[fd00::1]:3128/"} {
		_, err := safehttp.ParseProxy(text)
		require.NoError(t, err, text)
	}
	for _, text := range []string{"proxy.internal:3128", "ftp://marked:marked@proxy", "http://", "http://marked@proxy/path", "http://marked@proxy?x", "socks5h://marked", "http://marked:x y@z"} {
		_, err := safehttp.ParseProxy(text)
		require.ErrorContains(t, err, "must be http://host:port", text)
		require.NotContains(t, err.Error(), "marked")
	}
}
