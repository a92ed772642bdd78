package channels

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/carillon-dev/carillon/internal/safehttp"
)

// parseAddress reads one address, with a name or without. Its domain becomes
// ASCII, as mail servers want it; the error is for people.
func parseAddress(text string) (*mail.Address, error) {
	if hasTemplate(text) {
		return nil, errors.New("cannot hold ${…}: events do not decide where mail goes")
	}
	address, err := mail.ParseAddress(text)
	if err != nil || strings.ContainsAny(address.Address+address.Name, "\r\n\x00") {
		return nil, errors.New("must be an address such as core@example.com or Core <core@example.com>")
	}
	at := strings.LastIndexByte(address.Address, '@')
	local, domain := address.Address[:at], address.Address[at+1:]
	if strings.ContainsFunc(local, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return nil, errors.New("must have ASCII before its @: few mail servers take anything else")
	}
	if !strings.HasPrefix(domain, "[") {
		if domain, err = idna.Lookup.ToASCII(domain); err != nil || domain == "" {
			return nil, errors.New("has no valid host name after its @")
		}
	}
	address.Address = local + "@" + domain
	return address, nil
}

func parseAddresses(texts []string) ([]*mail.Address, error) {
	addresses := make([]*mail.Address, len(texts))
	for i, text := range texts {
		var err error
		if addresses[i], err = parseAddress(text); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

// envelope is where a mail goes: whoever it is from, and everybody who gets it,
// each once.
type envelope struct {
	from       *mail.Address
	to, cc     []*mail.Address
	replyTo    *mail.Address
	recipients []string
}

func (e emailEndpoint) envelope() (env envelope, err error) {
	if env.from, err = parseAddress(e.From); err != nil {
		return env, err
	}
	if env.to, err = parseAddresses(e.To); err != nil {
		return env, err
	}
	if env.cc, err = parseAddresses(e.CC); err != nil {
		return env, err
	}
	if e.ReplyTo != "" {
		if env.replyTo, err = parseAddress(e.ReplyTo); err != nil {
			return env, err
		}
	}
	known := map[string]bool{}
	for _, address := range slices.Concat(env.to, env.cc) {
		if key := mailbox(address.Address); !known[key] {
			known[key] = true
			env.recipients = append(env.recipients, address.Address)
		}
	}
	return env, nil
}

// mailbox is what an address is told apart by: the case of none is known to
// matter.
func mailbox(address string) string { return strings.ToLower(address) }

// mark stands for a recipient in what an attempt leaves for the next: short
// enough for all of them, and right also when the list was edited between.
func mark(address string) string {
	const bytes = 6 // one in 2⁴⁸ takes one of another for its own
	sum := sha256.Sum256([]byte(mailbox(address)))
	return base64.RawURLEncoding.EncodeToString(sum[:bytes])
}

// domain is that of the sender, which the mail's own names are made with.
func (env envelope) domain() string {
	address := env.from.Address
	return strings.Trim(address[strings.LastIndexByte(address, '@')+1:], "[]")
}

// address is the server's host and port; empty without a host.
func (e emailEndpoint) address() string {
	if e.Host == "" {
		return ""
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.port())))
}

func (e emailEndpoint) port() uint16 {
	switch {
	case e.Port != 0:
		return e.Port
	case e.TLS == tlsImplicit:
		return 465
	case e.TLS == tlsNone:
		return 25
	default:
		return 587
	}
}

// roots are the authorities that the server's certificate is checked with; nil
// for the system's.
func (e emailEndpoint) roots() (*x509.CertPool, bool) {
	if e.CA == "" {
		return nil, true
	}
	pool := x509.NewCertPool()
	return pool, pool.AppendCertsFromPEM([]byte(e.CA))
}

// checkEmail notes what the fields cannot say.
func checkEmail(policy safehttp.Policy) func(f form, e *emailEndpoint) {
	return func(f form, e *emailEndpoint) {
		checkServer(f, policy, *e)
		checkAddresses(f, "to", e.To)
		checkAddresses(f, "cc", e.CC)
		if e.ReplyTo != "" {
			if _, err := parseAddress(e.ReplyTo); err != nil {
				f.wrong("reply_to", "%s", err)
			}
		}
		if n := len(e.To) + len(e.CC); n > maxRecipients {
			f.wrong("cc", "there are %d recipients together with to, at most %d are allowed", n, maxRecipients)
		}
		if e.HTML != "" && (e.Content == contentRaw || e.Content == contentText) {
			f.wrong("html", "is not sent with the content %s", e.Content)
		}
		if time.Duration(e.Timeout) < minTimeout {
			f.wrong("timeout", "must be from %s to %s", minTimeout, maxTimeout)
		}
	}
}

func checkAddresses(f form, field string, list []string) {
	for i, text := range list {
		if _, err := parseAddress(text); err != nil {
			f.wrong(field+"/"+strconv.Itoa(i), "%s", err)
		}
	}
}

// checkServer is for what may be set for the installation, too.
func checkServer(f form, policy safehttp.Policy, e emailEndpoint) {
	if e.Host != "" {
		checkMailHost(f, policy, e)
	}
	if e.From != "" {
		if _, err := parseAddress(e.From); err != nil {
			f.wrong("from", "%s", err)
		}
	}
	if e.Password != "" && e.User == "" {
		f.wrong("password", "is nobody's: give the user, too")
	}
	if _, ok := e.roots(); !ok {
		f.wrong("ca", "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
	}
}

func checkMailHost(f form, policy safehttp.Policy, e emailEndpoint) {
	addr, err := netip.ParseAddr(e.Host)
	if err != nil {
		// A name is looked up, and checked, at each attempt.
		if strings.ContainsAny(e.Host, " /:@[]?#%\\") || !validHost(&url.URL{Host: e.Host}) {
			f.wrong("host", "must be a host name or an IP address alone, without a port")
		} else if err := safehttp.CheckMailPort(e.port()); err != nil && len(policy.Allow) == 0 {
			f.wrong("port", "%s", err)
		}
		return
	}
	if err := policy.CheckMail(netip.AddrPortFrom(addr, e.port())); err != nil {
		f.wrong("host", "%s", err)
	}
}
