package channels_test

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

func emailConforms() conformance {
	retry := func(text string) expected { return expected{outcome: carillon.OutcomeRetry, errorHas: text} }
	return conformance{
		setup: setupEmail,
		secrets: []string{
			"marked-password", base64.StdEncoding.EncodeToString([]byte("marked-password")),
			base64.StdEncoding.EncodeToString([]byte("\x00carillon\x00marked-password")),
		},
		want: map[behaviour]expected{
			busy:    retry("421 4.3.2 come back later"),
			busyFor: retry("451 4.7.1 come back in 7 seconds"), // SMTP has no other way to say so
			gone: {
				outcome: carillon.OutcomeReject, errorHas: "550 5.1.1 no such mailbox (ann@example.com)",
			},
			oversized: retry("the mail server answered more than 256 KiB"),
			nasty:     retry("451 "),
		},
	}
}

func setupEmail(t *testing.T, b behaviour) (channels.Sender, json.RawMessage) {
	t.Helper()
	policy := loopback
	config, ca := certified(t)
	s := &mailServer{tls: config}
	timeout := "30s"
	says := func(command, answer string) {
		s.answer = func(heard string) string {
			if strings.HasPrefix(heard, command) {
				return answer
			}
			return ""
		}
	}
	switch b {
	case busy:
		says("connect", "421 4.3.2 come back later")
	case busyFor:
		says("RCPT", "451 4.7.1 come back in 7 seconds")
	case gone:
		says("RCPT", "550 5.1.1 no such mailbox")
	case hangs:
		timeout, s.hang = "200ms", t.Context().Done()
	case oversized:
		s.endless = true
	case nasty:
		says(".", "451-"+strings.Repeat("<\x00\"\xff\\\u2028", 1<<10)+"\r\n451 "+strings.Repeat("<\x00\"\xff\\\u2028", 1<<10))
	case echoes:
		s.echo = true
	}
	startMail(t, s)
	posted := mailTo(s, map[string]any{
		"tls": "starttls", "ca": ca, "user": "carillon", "password": "marked-password", "timeout": timeout,
	})
	switch b {
	case untrusted:
		delete(posted, "ca")
	case forbidden:
		policy = safehttp.Policy{}
		posted["host"], posted["port"] = "localhost", 2525
	case down:
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		posted["port"] = l.Addr().(*net.TCPAddr).Port
		require.NoError(t, l.Close())
	}
	encoded, err := json.Marshal(posted)
	require.NoError(t, err)
	return emailSender(t, policy), encoded
}
