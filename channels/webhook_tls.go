package channels

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/net/http/httpguts"

	"github.com/carillon-dev/carillon/internal/safehttp"
)

const (
	// maxPEMBytes holds a chain of a few certificates, or an RSA key of 16,384 bits.
	maxPEMBytes = 16 << 10
	// maxIdentities bounds the transports that are kept, each with connections of
	// its own.
	maxIdentities = 256
)

// tlsField is how a webhook's connections differ from the usual.
var tlsField = Field{
	Name: "tls", Type: Object, Text: "Whom https connections trust, and as whom they are made (mTLS).",
	Fields: []Field{
		{Name: "ca", Type: LongText, Max: maxPEMBytes, Text: "The only authorities that are trusted, PEM; left out, the usual ones.", Example: "-----BEGIN CERTIFICATE-----…"},
		{Name: "certificate", Type: LongText, Max: maxPEMBytes, Text: "The client certificate, PEM, with the certificates between it and its authority.", Example: "-----BEGIN CERTIFICATE-----…"},
		{Name: "key", Type: LongText, Secret: true, Max: maxPEMBytes, Text: "The client certificate's private key, PEM.", Example: "-----BEGIN PRIVATE KEY-----…"},
		{Name: "server_name", Type: Text, Max: maxServerName, Text: "The name that the receiver's certificate is for, where it is not the url's.", Example: "hooks.internal"},
		{Name: "ca_expires_at", Type: Text, ReadOnly: true, Text: "When the first of the authorities' certificates expires."},
		{Name: "certificate_expires_at", Type: Text, ReadOnly: true, Text: "When the client certificate expires."},
	},
}

// maxServerName is the longest name of a host.
const maxServerName = 253

// webhookTLS is the JSON shape of [tlsField].
type webhookTLS struct {
	CA          string `json:"ca,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	ServerName  string `json:"server_name,omitempty"`
	// CAExpiresAt and CertificateExpiresAt are answered only.
	CAExpiresAt          time.Time `json:"ca_expires_at,omitzero"`
	CertificateExpiresAt time.Time `json:"certificate_expires_at,omitzero"`
}

// prepareTLS reads the identity that connections are made with. As with what
// is sent, a key's mask keeps the stored one only while the URL leads to the
// same host.
func (c credentials) prepareTLS(endpoint *webhookEndpoint, before webhookEndpoint, target *url.URL, now time.Time) {
	f, ok := c.form.object("tls", names(tlsField.Fields)...)
	if !ok {
		return
	}
	t := &webhookTLS{
		CA: strings.TrimSpace(f.text("ca")), Certificate: strings.TrimSpace(f.text("certificate")),
		Key: strings.TrimSpace(f.text("key")), ServerName: f.text("server_name"),
	}
	if isMask(t.Key) {
		stored := ""
		if before.TLS != nil {
			stored = before.TLS.Key
		}
		t.Key = credentials{form: f, moved: c.moved}.secret("key", t.Key, stored)
		if t.Key == "" {
			return // said already
		}
	}
	if *t == (webhookTLS{}) {
		return
	}
	if target != nil && target.Scheme != "https" {
		c.form.wrong("tls", "needs an https:// url")
	}
	if t.ServerName != "" && (len(t.ServerName) > maxServerName || !httpguts.ValidHostHeader(t.ServerName) || strings.ContainsAny(t.ServerName, ":[]/")) {
		f.wrong("server_name", "must be the name of a host, without a port")
	}
	if t.CA != "" {
		checkAuthorities(f, t.CA, now)
	}
	checkClient(f, *t, now)
	endpoint.TLS = t
}

func checkAuthorities(f form, text string, now time.Time) {
	authorities, err := readCertificates(text)
	switch {
	case err != nil:
		f.wrong("ca", "%s", err)
	case !slices.ContainsFunc(authorities, func(a *x509.Certificate) bool { return a.NotAfter.After(now) }):
		f.wrong("ca", "has expired (%s)", day(firstToExpire(authorities)))
	}
}

// checkClient checks that there are both a certificate and its key, or none.
func checkClient(f form, t webhookTLS, now time.Time) {
	switch {
	case t.Certificate == "" && t.Key == "":
		return
	case t.Certificate == "":
		f.wrong("certificate", "is required with a key")
		return
	case t.Key == "":
		f.wrong("key", "is required with a certificate")
		return
	}
	chain, err := readCertificates(t.Certificate)
	if err != nil {
		f.wrong("certificate", "%s", err)
		return
	}
	if leaf := chain[0]; !leaf.NotAfter.After(now) {
		f.wrong("certificate", "has expired (%s)", day(leaf.NotAfter))
	} else if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		f.wrong("certificate", "is not for clients: its extended key usage lacks clientAuth")
	}
	block, _ := pem.Decode([]byte(t.Key))
	switch {
	case len(t.Key) > maxPEMBytes:
		f.wrong("key", "may have at most %d bytes", maxPEMBytes)
	case block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		f.wrong("key", "must be a private key in PEM (-----BEGIN PRIVATE KEY-----)")
	case strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
		f.wrong("key", "must not be encrypted with a password; Carillon seals it itself")
	default:
		if _, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key)); err != nil {
			f.wrong("key", "is not the key of the certificate, or of a kind that cannot be used")
		}
	}
}

// readCertificates reads PEM that holds certificates and nothing else. The
// error is for people.
func readCertificates(text string) ([]*x509.Certificate, error) {
	if len(text) > maxPEMBytes {
		return nil, errors.New("may have at most 16 KiB")
	}
	var all []*x509.Certificate
	rest := []byte(text)
	for len(strings.TrimSpace(string(rest))) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("must be certificates in PEM (-----BEGIN CERTIFICATE-----) and nothing else")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("holds a certificate that cannot be read")
		}
		all = append(all, certificate)
	}
	return all, nil
}

func firstToExpire(certificates []*x509.Certificate) time.Time {
	return slices.MinFunc(certificates, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter.UTC()
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// redacted is what people see of it; nil stays nil.
func (t *webhookTLS) redacted() *webhookTLS {
	if t == nil {
		return nil
	}
	shown := *t
	shown.Key = mask(t.Key)
	if authorities, err := readCertificates(t.CA); err == nil && len(authorities) > 0 {
		shown.CAExpiresAt = firstToExpire(authorities)
	}
	if chain, err := readCertificates(t.Certificate); err == nil && len(chain) > 0 {
		shown.CertificateExpiresAt = chain[0].NotAfter.UTC()
	}
	return &shown
}

// config is what connections are made with.
func (t *webhookTLS) config() (*tls.Config, error) {
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, errors.New("no authority can be read")
		}
	}
	if t.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key))
		if err != nil {
			return nil, errors.New("the client certificate cannot be read")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func newIdentities() *lru.Cache[string, *http.Transport] {
	// It only refuses a size below one.
	identities, _ := lru.NewWithEvict(maxIdentities, func(_ string, t *http.Transport) { t.CloseIdleConnections() })
	return identities
}

// through is the exchanger for a TLS identity: its connections are shared with
// no endpoint of another one.
func (w *webhook) through(t *webhookTLS) (exchanger, error) {
	if t == nil {
		return w.exchanger, nil
	}
	text, err := json.Marshal(t)
	if err != nil {
		return exchanger{}, err
	}
	sum := sha256.Sum256(text)
	key := hex.EncodeToString(sum[:])
	if transport, ok := w.identities.Get(key); ok {
		return exchanger{transport: transport, now: w.now}, nil
	}
	config, err := t.config()
	if err != nil {
		return exchanger{}, err
	}
	transport := safehttp.NewTransport(w.policy, config)
	// Of two that were made at once, one is used.
	if known, ok, _ := w.identities.PeekOrAdd(key, transport); ok {
		transport = known
	}
	return exchanger{transport: transport, now: w.now}, nil
}
