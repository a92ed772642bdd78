package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/dnstest"
)

// egress is a proxy for CONNECT that notes its targets; status, unless 0, is
// what it answers instead.
type egress struct {
	mu      sync.Mutex
	status  int
	targets []string
	auth    map[string]bool
}

func (e *egress) answer(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

func (e *egress) asked() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.targets...)
}

func (e *egress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	status := e.status
	e.targets = append(e.targets, r.Method+" "+r.Host)
	e.auth[r.Header.Get("Proxy-Authorization")] = true
	e.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	out, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusGatewayTimeout)
		return
	}
	defer func() { _ = out.Close() }()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(out, conn) }()
	_, _ = io.Copy(conn, out)
}

func TestAnEgressProxysTroubleCostsNoAttempt(t *testing.T) {
	t.Parallel()
	e := &egress{auth: map[string]bool{}, status: http.StatusBadGateway}
	proxy := httptest.NewUnstartedServer(e)
	proxy.Config.ErrorLog = discard
	proxy.TLS = &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600))
	dns := dnstest.Start(t)
	dns.Answer("hooks.test", "127.0.0.1")
	dns.Answer("inside.test", "10.0.0.1")
	address := proxy.Listener.Addr().String()
	i := start(t, "CARILLON_EGRESS_PROXY=https://carillon:marked-password@"+address, "CARILLON_DNS_SERVER="+dns.Addr(), "SSL_CERT_FILE="+roots)
	at, err := url.Parse(i.hook)
	require.NoError(t, err)
	save := func(target string) string {
		saved, err := i.client.CreateSubscription(t.Context(), hook(target))
		require.NoError(t, err)
		return saved.ID
	}
	sub, inside := save("http://hooks.test:"+at.Port()+"/hook"), save("http://inside.test/hook")

	accepted := i.publish(added("1"))
	var waiting client.Delivery
	i.eventually("the proxy has failed twice", func() bool { return len(e.asked()) >= 2 })
	waiting = i.awaitDelivery(accepted.ID, sub, carillon.Pending)
	require.Zero(t, waiting.AttemptCount)
	refused := i.awaitDelivery(accepted.ID, inside, carillon.Failed)
	require.Contains(t, refused.Error, "address not allowed: private network")
	require.Empty(t, i.hooks.Requests("/hook"))

	e.answer(0)
	delivered := i.awaitDelivery(accepted.ID, sub, carillon.Succeeded)
	require.Equal(t, 1, delivered.AttemptCount)
	require.Equal(t, "hooks.test:"+at.Port(), delivered.Attempts[len(delivered.Attempts)-1].Request.Host)
	for _, target := range e.asked() {
		require.Equal(t, "CONNECT 127.0.0.1:"+at.Port(), target, "the proxy is given the address, not the name")
	}
	require.Len(t, e.auth, 1)
	require.True(t, e.auth["Basic Y2FyaWxsb246bWFya2VkLXBhc3N3b3Jk"])

	// A receiver that is away is charged as ever.
	dead := httptest.NewServer(nil)
	dead.Close()
	away := save(dead.URL)
	failed := i.awaitDelivery(i.publish(added("2")).ID, away, carillon.Failed)
	require.Equal(t, 1, failed.AttemptCount)
	require.Equal(t, "the egress proxy made no connection in time", failed.Error)
	_, metrics := i.get("/metrics")
	for _, text := range []string{i.carillon.log.String(), metrics} {
		require.NotContains(t, text, "marked-password")
	}
}

func TestAProxyThatIsNoneIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	p := run(t, []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "CARILLON_ADMIN_KEY=" + adminKey, "CARILLON_SECRET_KEY=" + secretKey,
		"CARILLON_DATA_DIR=" + t.TempDir(), "CARILLON_EGRESS_PROXY=ftp://carillon:marked-password@proxy",
	}, binary(t, "carillon"), "serve")
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("it still runs")
	}
	require.Equal(t, 2, p.cmd.ProcessState.ExitCode())
	require.Contains(t, p.log.String(), "CARILLON_EGRESS_PROXY: must be http://host:port")
	require.False(t, bytes.Contains([]byte(p.log.String()), []byte("marked-password")))
}
