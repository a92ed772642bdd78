package channels_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// received is a mail that a server took.
type received struct {
	from string
	to   []string
	data string
}

// mailServer is an SMTP server that answers as it is told.
type mailServer struct {
	listener net.Listener
	tls      *tls.Config // nil for none
	implicit bool
	// answer has the reply to a command, such as "RCPT TO:<bob@example.com>", or
	// to "connect" and "."; empty for the usual one.
	answer func(command string) string
	// hang, unless nil, is what the server waits for before it greets; endless
	// greets without end, and echo repeats all that it heard in every answer.
	hang          <-chan struct{}
	endless, echo bool

	mu    sync.Mutex
	mails []received
	lines []string
	open  sync.WaitGroup
}

// startMail runs a server until the test ends.
func startMail(t *testing.T, s *mailServer) *mailServer {
	t.Helper()
	var err error
	s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.open.Go(func() {
				defer func() { _ = conn.Close() }()
				s.serve(conn)
			})
		}
	}()
	t.Cleanup(func() {
		_ = s.listener.Close()
		<-accepting
		s.open.Wait()
	})
	return s
}

func (s *mailServer) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

func (s *mailServer) taken() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mails...)
}

func (s *mailServer) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

func (s *mailServer) serve(conn net.Conn) {
	if s.hang != nil {
		<-s.hang
		return
	}
	for s.endless {
		if _, err := io.WriteString(conn, "220-"+strings.Repeat("welcome ", 64)+"\r\n"); err != nil {
			return
		}
	}
	if s.implicit {
		conn = tls.Server(conn, s.tls)
	}
	session := &mailSession{server: s, conn: conn, text: textproto.NewReader(bufio.NewReader(conn))}
	if session.reply("connect", "220 mail.example.com ESMTP") != nil {
		return
	}
	for err := error(nil); err == nil; {
		err = session.step()
	}
}

type mailSession struct {
	server *mailServer
	conn   net.Conn
	text   *textproto.Reader
	mail   received
}

// says is the answer to a command: the test's, or the usual one.
func (m *mailSession) says(command, usual string) string {
	if m.server.answer != nil {
		if own := m.server.answer(command); own != "" {
			return own
		}
	}
	return usual
}

// reply answers a command as the test says, or as usual.
func (m *mailSession) reply(command, usual string) error { return m.write(m.says(command, usual)) }

func (m *mailSession) write(answer string) error {
	if m.server.echo {
		code := answer[:3]
		answer = code + "-" + strings.Join(m.server.heard(), "\r\n"+code+"-") + "\r\n" + answer
	}
	_, err := io.WriteString(m.conn, answer+"\r\n")
	return err
}

func (m *mailSession) step() error {
	line, err := m.text.ReadLine()
	if err != nil {
		return err
	}
	m.server.mu.Lock()
	m.server.lines = append(m.server.lines, line)
	m.server.mu.Unlock()
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		return m.hello(line)
	case "STARTTLS":
		if err := m.reply(line, "220 go ahead"); err != nil {
			return err
		}
		m.conn = tls.Server(m.conn, m.server.tls)
		m.text = textproto.NewReader(bufio.NewReader(m.conn))
		return nil
	case "AUTH":
		return m.login(line, rest)
	case "MAIL":
		m.mail = received{from: between(rest)}
		return m.reply(line, "250 2.1.0 Ok")
	case "RCPT":
		answer := m.says(line, "250 2.1.5 Ok")
		if answer[0] == '2' {
			m.mail.to = append(m.mail.to, between(rest))
		}
		return m.write(answer)
	case "DATA":
		return m.data()
	case "QUIT":
		_ = m.reply(line, "221 2.0.0 Bye")
		return io.EOF
	default:
		return m.reply(line, "502 5.5.1 not known")
	}
}

// hello offers what the server has. Each extension is on a line of its own, so
// that an echo would offer nothing else.
func (m *mailSession) hello(line string) error {
	offers := []string{"250-mail.example.com", "250-8BITMIME", "250-SMTPUTF8"}
	_, encrypted := m.conn.(*tls.Conn)
	if m.server.tls != nil && !encrypted {
		offers = append(offers, "250-STARTTLS")
	}
	return m.reply(line, strings.Join(append(offers, "250 AUTH PLAIN LOGIN"), "\r\n"))
}

func (m *mailSession) login(line, rest string) error {
	if strings.HasPrefix(rest, "LOGIN") {
		for _, ask := range []string{"Username:", "Password:"} {
			if _, err := fmt.Fprintf(m.conn, "334 %s\r\n", base64.StdEncoding.EncodeToString([]byte(ask))); err != nil {
				return err
			}
			answer, err := m.text.ReadLine()
			if err != nil {
				return err
			}
			m.server.mu.Lock()
			m.server.lines = append(m.server.lines, answer)
			m.server.mu.Unlock()
		}
	}
	return m.reply(line, "235 2.7.0 welcome")
}

func (m *mailSession) data() error {
	answer := m.says("DATA", "354 go ahead")
	if err := m.write(answer); err != nil || answer[0] != '3' {
		return err
	}
	body, err := io.ReadAll(m.text.DotReader())
	if err != nil {
		return err
	}
	answer = m.says(".", "250 2.0.0 Ok: queued as 4711")
	if answer[0] == '2' {
		m.mail.data = string(body)
		m.server.mu.Lock()
		m.server.mails = append(m.server.mails, m.mail)
		m.server.mu.Unlock()
	}
	return m.write(answer)
}

// between is what stands between < and >.
func between(text string) string {
	_, rest, _ := strings.Cut(text, "<")
	inside, _, _ := strings.Cut(rest, ">")
	return inside
}
