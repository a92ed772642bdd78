package channels_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// authority issues certificates.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{t: t}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
	}
	a.certificate, a.key, a.pem = sign(t, template, nil, nil)
	return a
}

// issue makes a certificate and its key, both as PEM.
func (a authority) issue(name string, expires time.Time, usage ...x509.ExtKeyUsage) (certificate, key string) {
	a.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, ExtKeyUsage: usage, KeyUsage: x509.KeyUsageDigitalSignature,
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: expires,
	}
	_, private, certificate := sign(a.t, template, a.certificate, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	return certificate, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func sign(t *testing.T, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// guests are who came to a receiver that asks for a client certificate: their
// names, each with the connection that they came by.
type guests struct {
	mu   sync.Mutex
	seen map[string][]string
}

// demanding starts a receiver with a certificate of ours for hooks.test, which
// takes clients with a certificate of ours.
func demanding(t *testing.T, ours authority) (string, *guests) {
	t.Helper()
	g := &guests{seen: map[string][]string{}}
	certificate, key := ours.issue("hooks.test", time.Now().Add(time.Hour))
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ours.certificate)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		name := r.TLS.PeerCertificates[0].Subject.CommonName
		g.seen[name] = append(g.seen[name], r.RemoteAddr)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, g
}

func posted(t *testing.T, url string, tls map[string]string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"url": url, "tls": tls})
	require.NoError(t, err)
	return string(text)
}

func TestWebhookIsWhomItsCertificateSaysAndSharesNoConnection(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t, "ours")
	url, g := demanding(t, ours)
	sender := webhook(t, loopback)
	identity := func(name string) string {
		certificate, key := ours.issue(name, time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth)
		return posted(t, url, map[string]string{"ca": ours.pem, "certificate": certificate, "key": key, "server_name": "hooks.test"})
	}
	alice, bob := identity("alice"), identity("bob")
	for _, who := range []string{alice, bob, alice, bob} {
		a := attempt(t, sender, who)
		require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	}
	require.Len(t, g.seen["alice"], 2)
	require.Len(t, g.seen["bob"], 2)
	require.Equal(t, g.seen["alice"][0], g.seen["alice"][1], "one's own connection is used again")
	require.NotContains(t, g.seen["bob"], g.seen["alice"][0])
}

func TestWebhookTrustsItsAuthorityAlone(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	url, g := demanding(t, ours)
	certificate, key := ours.issue("alice", time.Now().Add(time.Hour))
	stranger, strangersKey := theirs.issue("mallory", time.Now().Add(time.Hour))
	sender := webhook(t, loopback)
	for want, identity := range map[string]map[string]string{
		"TLS: certificate of an unknown authority": {"ca": theirs.pem, "certificate": certificate, "key": key, "server_name": "hooks.test"},
		"TLS: certificate for another host name":   {"ca": ours.pem, "certificate": certificate, "key": key, "server_name": "other.test"},
		"TLS: no common version or cipher, or the receiver refused the handshake": {
			"ca": ours.pem, "certificate": stranger, "key": strangersKey, "server_name": "hooks.test",
		},
	} {
		a := attempt(t, sender, posted(t, url, identity))
		require.Equal(t, carillon.OutcomeRetry, a.Outcome)
		if identity["certificate"] == stranger && a.Error == "connection closed without an answer" {
			continue // with TLS 1.3 the refusal follows the handshake, and its connection can be gone before it is read
		}
		require.Equal(t, want, a.Error)
	}
	require.Empty(t, g.seen)
}

func TestWebhookIdentityIsCheckedWhenSaved(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t, "ours")
	later := time.Now().Add(time.Hour)
	certificate, key := ours.issue("marked", later)
	_, otherKey := ours.issue("marked", later)
	old, oldKey := ours.issue("marked", time.Now().Add(-time.Hour))
	servers, serversKey := ours.issue("marked", later, x509.ExtKeyUsageServerAuth)
	const hook = "https://hooks.example.com/"
	for name, tc := range map[string]struct {
		url      string
		identity map[string]string
		pointer  string
		detail   string
	}{
		"an authority that is none":  {hook, map[string]string{"ca": "marked"}, "ca", "must be certificates in PEM"},
		"a key for an authority":     {hook, map[string]string{"ca": key}, "ca", "must be certificates in PEM"},
		"an authority and more":      {hook, map[string]string{"ca": ours.pem + "marked"}, "ca", "and nothing else"},
		"an authority cut short":     {hook, map[string]string{"ca": "-----BEGIN CERTIFICATE-----\nbWFya2Vk\n-----END CERTIFICATE-----"}, "ca", "cannot be read"},
		"an authority that expired":  {hook, map[string]string{"ca": old}, "ca", "has expired (" + time.Now().Add(-time.Hour).UTC().Format(time.DateOnly) + ")"},
		"very many authorities":      {hook, map[string]string{"ca": strings.Repeat(ours.pem, 40)}, "ca", "at most 16 KiB"},
		"a certificate alone":        {hook, map[string]string{"certificate": certificate}, "key", "required with a certificate"},
		"a key alone":                {hook, map[string]string{"key": key}, "certificate", "required with a key"},
		"another certificate's key":  {hook, map[string]string{"certificate": certificate, "key": otherKey}, "key", "not the key of the certificate"},
		"a key that is none":         {hook, map[string]string{"certificate": certificate, "key": "marked"}, "key", "must be a private key in PEM"},
		"a key with a password":      {hook, map[string]string{"certificate": certificate, "key": strings.ReplaceAll(key, "PRIVATE", "ENCRYPTED PRIVATE")}, "key", "not be encrypted"},
		"a certificate that expired": {hook, map[string]string{"certificate": old, "key": oldKey}, "certificate", "has expired"},
		"a server's certificate":     {hook, map[string]string{"certificate": servers, "key": serversKey}, "certificate", "clientAuth"},
		"a mask of nothing":          {hook, map[string]string{"certificate": certificate, "key": "•••• ----"}, "key", "mask"},
		"a name with a port":         {hook, map[string]string{"server_name": "marked:443"}, "server_name", "without a port"},
		"a name with a line break":   {hook, map[string]string{"server_name": "marked\r\nx"}, "server_name", "name of a host"},
		"a field that is none":       {hook, map[string]string{"colour": "marked"}, "colour", "is no field"},
		"plain HTTP":                 {"http://hooks.example.com/", map[string]string{"ca": ours.pem}, "", "needs an https:// url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := webhook(t, loopback).Prepare(json.RawMessage(posted(t, tc.url, tc.identity)), nil)
			require.ErrorContains(t, err, strings.TrimSuffix("/endpoint/tls/"+tc.pointer, "/")+": ")
			require.ErrorContains(t, err, tc.detail)
			require.NotContains(t, err.Error(), "marked")
		})
	}
}

func TestWebhookIdentityIsAnsweredMaskedAndKept(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t, "ours")
	certificate, key := ours.issue("alice", time.Now().Add(time.Hour))
	sender := webhook(t, loopback)
	stored, _, err := sender.Prepare(json.RawMessage(posted(t, "https://hooks.example.com/", map[string]string{
		"ca": ours.pem, "certificate": certificate, "key": key,
	})), nil)
	require.NoError(t, err)
	var shown struct {
		TLS map[string]string `json:"tls"`
	}
	redacted := sender.Redact(stored)
	require.NoError(t, json.Unmarshal(redacted, &shown))
	require.Equal(t, "•••• ----", shown.TLS["key"])
	require.Equal(t, strings.TrimSpace(certificate), shown.TLS["certificate"])
	require.Equal(t, ours.certificate.NotAfter.UTC().Format(time.RFC3339), shown.TLS["ca_expires_at"])
	require.NotEmpty(t, shown.TLS["certificate_expires_at"])
	for line := range slices.Values(strings.Split(key, "\n")[1:3]) {
		require.NotContains(t, string(redacted), line)
	}

	again, _, err := sender.Prepare(redacted, stored)
	require.NoError(t, err)
	require.JSONEq(t, string(stored), string(again))

	moved := strings.Replace(string(redacted), "hooks.example.com", "mallory.example.com", 1)
	_, _, err = sender.Prepare(json.RawMessage(moved), stored)
	require.ErrorContains(t, err, "/endpoint/tls/key: must be given again")

	without, _, err := sender.Prepare(json.RawMessage(`{"url":"https://hooks.example.com/","tls":{}}`), stored)
	require.NoError(t, err)
	require.NotContains(t, string(without), "tls")
}

func TestIdentitiesThatAreNoMoreUsedCloseTheirConnections(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t, "ours")
	closed := make(chan struct{}, 1)
	certificate, key := ours.issue("hooks.test", time.Now().Add(time.Hour))
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	require.NoError(t, err)
	var first atomic.Value
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { first.Store(r.RemoteAddr) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s.Config.ConnState = hasClosed(&first, closed)
	s.StartTLS()
	t.Cleanup(s.Close)
	sender := webhook(t, loopback)
	a := attempt(t, sender, posted(t, s.URL, map[string]string{"ca": ours.pem, "server_name": "hooks.test"}))
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	const more = 256 // what is kept
	dead := server(t, http.NotFoundHandler(), (*httptest.Server).StartTLS)
	for n := range more {
		attempt(t, sender, posted(t, dead, map[string]string{"server_name": fmt.Sprintf("n%d.test", n)}))
	}
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("the connection is still open")
	}
}

// hasClosed tells when the connection of a client ends.
func hasClosed(client *atomic.Value, closed chan<- struct{}) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		if state == http.StateClosed && conn.RemoteAddr().String() == client.Load() {
			closed <- struct{}{}
		}
	}
}
