package channels

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
	"golang.org/x/net/http/httpguts"

	"github.com/carillon-dev/carillon/internal/safehttp"
)

const (
	// maxMailAnswers is how much a server may say in one transaction: a hundred
	// recipients take a tenth of it.
	maxMailAnswers = 256 << 10
	// quitTime is for a farewell that changes nothing.
	quitTime = time.Second
)

// Reply codes with a meaning of their own.
// https://www.rfc-editor.org/rfc/rfc5321#section-4.2.3
// https://www.rfc-editor.org/rfc/rfc4954#section-6
const (
	codeTaken        = 250
	codeClosing      = 421
	codeLoginWanted  = 530
	codeLoginWeak    = 534
	codeLoginRefused = 535
	codeLoginPlain   = 538
	codeTooMany      = 552 // of recipients: the same as 452, says section 4.5.3.1.10
)

// What went wrong without an answer that says so.
var (
	errEndless    = errors.New("the mail server answered more than 256 KiB")
	errNoStartTLS = errors.New("the mail server offers no STARTTLS")
	errNoLogin    = errors.New("the mail server offers no login that Carillon knows (PLAIN, LOGIN, CRAM-MD5)")
)

// secrets lists every text that must not be recorded, should a server echo it.
func (e emailEndpoint) secrets() []string {
	if e.Password == "" {
		return nil
	}
	encode := base64.StdEncoding.EncodeToString
	return []string{e.Password, encode([]byte(e.Password)), encode([]byte("\x00" + e.User + "\x00" + e.Password))}
}

// server is the host as it is dialled, and as its certificate names it.
func (e emailEndpoint) server() string {
	if _, err := netip.ParseAddr(e.Host); err == nil {
		return e.Host
	}
	ascii, err := httpguts.PunycodeHostPort(e.Host)
	if err != nil {
		return e.Host // nobody finds it
	}
	return ascii
}

// handOver makes one transaction for the recipients that the post has open.
func (e *email) handOver(ctx context.Context, endpoint emailEndpoint, env envelope, written []byte, p *post) {
	_, port, _ := net.SplitHostPort(endpoint.address())
	dialled, err := e.policy.MailDialer().DialContext(ctx, "tcp", net.JoinHostPort(endpoint.server(), port))
	if err != nil {
		p.broke("", err)
		return
	}
	defer func() { _ = dialled.Close() }()
	// A server that says nothing ends with the attempt.
	stop := context.AfterFunc(ctx, func() { _ = dialled.Close() })
	defer stop()
	client, ok := e.greet(ctx, &boundedConn{Conn: dialled, left: maxMailAnswers}, endpoint, p)
	if !ok {
		return
	}
	if p.transact(client, env, written) {
		_ = dialled.SetDeadline(time.Now().Add(quitTime))
		_ = client.Quit()
	}
}

// greet encrypts the connection and logs in; false when it came to nothing.
func (e *email) greet(ctx context.Context, conn net.Conn, endpoint emailEndpoint, p *post) (*smtp.Client, bool) {
	roots, _ := endpoint.roots()
	secure := &tls.Config{ServerName: endpoint.server(), RootCAs: roots, MinVersion: tls.VersionTLS12}
	if endpoint.TLS == tlsImplicit {
		encrypted := tls.Client(conn, secure)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			p.broke("", err)
			return nil, false
		}
		conn = encrypted
	}
	client, err := smtp.NewClient(conn, endpoint.server())
	if err != nil {
		p.broke("the mail server takes no mail now: ", err)
		return nil, false
	}
	if err := client.Hello(e.name); err != nil {
		p.broke("the mail server refused the greeting: ", err)
		return nil, false
	}
	if endpoint.TLS == tlsStart {
		if err := startTLS(client, secure); err != nil {
			p.broke("the mail server refused STARTTLS: ", err)
			return nil, false
		}
	}
	if endpoint.User != "" {
		if err := login(client, endpoint); err != nil {
			p.broke("the mail server refused the login: ", err)
			return nil, false
		}
	}
	return client, true
}

func startTLS(client *smtp.Client, secure *tls.Config) error {
	if offered, _ := client.Extension("STARTTLS"); !offered {
		return errNoStartTLS
	}
	return client.StartTLS(secure)
}

// login takes the mechanism that hides the password best; over an encrypted
// connection PLAIN, which works everywhere.
func login(client *smtp.Client, endpoint emailEndpoint) error {
	_, offered := client.Extension("AUTH")
	mechanisms := []string{"PLAIN", "LOGIN", "CRAM-MD5"}
	inTheClear := endpoint.TLS == tlsNone
	if inTheClear {
		mechanisms = []string{"CRAM-MD5", "PLAIN", "LOGIN"}
	}
	known := strings.Fields(strings.ToUpper(offered))
	for _, mechanism := range mechanisms {
		if !slices.Contains(known, mechanism) {
			continue
		}
		switch mechanism {
		case "PLAIN":
			return client.Auth(smtp.PlainAuth("", endpoint.User, endpoint.Password, endpoint.server(), inTheClear))
		case "LOGIN":
			return client.Auth(smtp.LoginAuth(endpoint.User, endpoint.Password, endpoint.server(), inTheClear))
		default:
			return client.Auth(smtp.CRAMMD5Auth(endpoint.User, endpoint.Password))
		}
	}
	return errNoLogin
}

// transact names the sender and every recipient, and sends the mail to those
// that were accepted. It reports whether the connection is still good.
func (p *post) transact(client *smtp.Client, env envelope, written []byte) bool {
	client.SkipSMTPUTF8(true) // all addresses are ASCII
	if err := client.Mail(bracketed(env.from.Address)); err != nil {
		p.broke("the mail server refused the sender: ", err)
		p.forGood = isPermanent(err)
		return false
	}
	var accepted []string
	for _, recipient := range p.open {
		err := client.Rcpt(bracketed(recipient))
		reply, isReply := errors.AsType[*textproto.Error](err)
		switch {
		case err == nil:
			accepted = append(accepted, recipient)
		case !isReply, reply.Code == codeClosing:
			p.broke("", err)
			return false
		default:
			p.refuse(reply, isPermanent(err) && reply.Code != codeTooMany, recipient)
		}
	}
	if len(accepted) == 0 {
		return true
	}
	answer, err := sendData(client, written)
	if err != nil {
		reply, isReply := errors.AsType[*textproto.Error](err)
		if !isReply || reply.Code == codeClosing {
			p.broke("", err)
			return false
		}
		p.refuse(reply, isPermanent(err), accepted...)
		return true
	}
	p.take(accepted, answer)
	return true
}

func sendData(client *smtp.Client, written []byte) (answer string, err error) {
	body, err := client.Data()
	if err != nil {
		return "", err
	}
	if _, err := body.Write(written); err != nil {
		return "", err
	}
	if err := body.Close(); err != nil {
		return "", err
	}
	if closed, ok := body.(interface{ ServerResponse() string }); ok {
		answer = closed.ServerResponse()
	}
	return answer, nil
}

// bracketed is an address as SMTP wants it.
func bracketed(address string) string { return (&mail.Address{Address: address}).String() }

// isPermanent reports whether a server's reply means that the same can never
// succeed. What a login would change can.
func isPermanent(err error) bool {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return errors.Is(err, safehttp.ErrAddress)
	}
	return reply.Code >= 500 && !slices.Contains([]int{codeLoginWanted, codeLoginWeak, codeLoginRefused, codeLoginPlain}, reply.Code)
}

// explainMail is [safehttp.Explain] for another protocol.
func explainMail(err error) string {
	for _, known := range []error{errEndless, errNoStartTLS, errNoLogin} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return strings.Replace(safehttp.Explain(err), "no valid HTTP answer", "no valid SMTP answer", 1)
}

// boundedConn reads no more than is left.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errEndless
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return n, err
}
