package channels_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

func emailSender(t *testing.T, p safehttp.Policy) channels.Sender {
	t.Helper()
	sender, ok := channels.NewRegistry(channels.Config{Policy: p, Now: time.Now, PublicURL: "https://bells.example.com"})["email"]
	require.True(t, ok)
	require.Equal(t, "email", sender.Name())
	return sender
}

// certified returns what a server of 127.0.0.1 shows, and the authority that
// vouches for it.
func certified(t *testing.T) (config *tls.Config, ca string) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}, string(block)
}

// mailTo is an endpoint to post for a server without encryption.
func mailTo(s *mailServer, fields map[string]any) map[string]any {
	posted := map[string]any{
		"host": "127.0.0.1", "port": s.port(), "tls": "none", "from": "Carillon <bells@example.com>", "to": "ann@example.com",
	}
	maps.Copy(posted, fields)
	return posted
}

func kept(t *testing.T, sender channels.Sender, posted map[string]any) carillon.Endpoint {
	t.Helper()
	encoded, err := json.Marshal(posted)
	require.NoError(t, err)
	endpoint, shown, err := sender.Prepare(encoded, nil)
	require.NoError(t, err)
	require.Nil(t, shown)
	return endpoint
}

// script answers commands that begin so, one answer after the other; an empty
// one, and what comes after the last, is as usual.
func script(answers map[string][]string) func(string) string {
	var mu sync.Mutex
	return func(command string) string {
		mu.Lock()
		defer mu.Unlock()
		for begin, left := range answers {
			if strings.HasPrefix(command, begin) && len(left) > 0 {
				answers[begin] = left[1:]
				return left[0]
			}
		}
		return ""
	}
}

// mailRun makes attempts as a delivery does: until one is final.
type mailRun struct {
	sender   channels.Sender
	endpoint carillon.Endpoint
	attempts []carillon.Attempt
}

func (r *mailRun) attempt(t *testing.T) carillon.Attempt {
	t.Helper()
	m := conformance{}.message(r.endpoint, len(r.attempts)+1)
	m.Subscription = "sub_01"
	if n := len(r.attempts); n > 0 {
		m.Progress = r.attempts[n-1].Progress
	}
	a := r.sender.Attempt(t.Context(), m)
	require.LessOrEqual(t, len(a.Progress), carillon.MaxProgressBytes)
	r.attempts = append(r.attempts, a)
	return a
}

func mailing(t *testing.T, s *mailServer, fields map[string]any) *mailRun {
	t.Helper()
	sender := emailSender(t, loopback)
	return &mailRun{sender: sender, endpoint: kept(t, sender, mailTo(s, fields))}
}

func TestAMailThatIsPutOffIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"connect", "MAIL", "RCPT", "DATA", "."} {
		s := startMail(t, &mailServer{answer: script(map[string][]string{command: {"451 4.7.1 greylisted"}})})
		run := mailing(t, s, nil)
		first := run.attempt(t)
		require.Equal(t, carillon.OutcomeRetry, first.Outcome, command)
		require.Contains(t, first.Error, "451 4.7.1 greylisted", command)
		require.Equal(t, 451, first.Response.Status, command)
		require.Empty(t, first.Progress, command)
		require.Empty(t, s.taken(), command)

		second := run.attempt(t)
		require.Equal(t, carillon.OutcomeDelivered, second.Outcome, second.Error)
		require.Equal(t, 250, second.Response.Status)
		require.Equal(t, "250 2.0.0 Ok: queued as 4711", second.Response.Body)
		require.Empty(t, second.Progress)
		require.Len(t, s.taken(), 1)
	}
}

func TestOneOfThreeRecipientsIsRefusedForGood(t *testing.T) {
	t.Parallel()
	s := startMail(t, &mailServer{answer: script(map[string][]string{
		"RCPT TO:<bob@example.com>": {"550 5.1.1 no such user"}, "RCPT TO:<eve@example.com>": {"450 4.2.1 mailbox busy"},
	})})
	run := mailing(t, s, map[string]any{"to": "ann@example.com; bob@example.com; Eve <eve@example.com>"})

	first := run.attempt(t)
	require.Equal(t, carillon.OutcomeRetry, first.Outcome)
	require.Equal(t, "1 of 3 recipients left to be told: 450 4.2.1 mailbox busy (eve@example.com)", first.Error)
	require.NotEmpty(t, first.Progress)
	require.NotContains(t, string(first.Progress), "ann", "who has it is told by marks")

	second := run.attempt(t)
	require.Equal(t, carillon.OutcomeReject, second.Outcome)
	require.Equal(t, "1 of 3 recipients refused for good: 550 5.1.1 no such user (bob@example.com)", second.Error)
	require.Equal(t, 550, second.Response.Status)

	mails := s.taken()
	require.Len(t, mails, 2)
	require.Equal(t, []string{"ann@example.com"}, mails[0].to)
	require.Equal(t, []string{"eve@example.com"}, mails[1].to)
	require.Equal(t, mailHeader(t, mails[0], "Message-Id"), mailHeader(t, mails[1], "Message-Id"))
	require.Contains(t, mailHeader(t, mails[1], "To"), "ann@example.com", "everybody sees who was written to")

	// Somebody mends the mailbox and sends it again: to the one who lacks it.
	third := run.attempt(t)
	require.Equal(t, carillon.OutcomeDelivered, third.Outcome, third.Error)
	require.Equal(t, []string{"bob@example.com"}, s.taken()[2].to)
}

func TestAnEditedListIsNotMisread(t *testing.T) {
	t.Parallel()
	s := startMail(t, &mailServer{answer: script(map[string][]string{"RCPT TO:<bob@example.com>": {"450 4.2.1 busy"}})})
	run := mailing(t, s, map[string]any{"to": "ann@example.com; bob@example.com"})
	require.Equal(t, carillon.OutcomeRetry, run.attempt(t).Outcome)

	run.endpoint = kept(t, run.sender, mailTo(s, map[string]any{"to": []string{"new@example.com", "bob@example.com", "ANN@example.com"}}))
	require.Equal(t, carillon.OutcomeDelivered, run.attempt(t).Outcome)
	mails := s.taken()
	require.Len(t, mails, 2)
	require.Equal(t, []string{"ann@example.com"}, mails[0].to)
	require.Equal(t, []string{"new@example.com", "bob@example.com"}, mails[1].to)
}

func TestTheProgressOfManyRecipientsIsShort(t *testing.T) {
	t.Parallel()
	var to []string
	for i := range 100 {
		to = append(to, "recipient-"+string(rune('a'+i%26))+strings.Repeat("x", i/26)+"@example.com")
	}
	s := startMail(t, &mailServer{answer: script(map[string][]string{
		"RCPT TO:<" + to[0]: {"550 " + strings.Repeat("<", 400)}, "RCPT TO:<" + to[99]: {"450 busy"},
	})})
	run := mailing(t, s, map[string]any{"to": to})
	first := run.attempt(t)
	require.Contains(t, first.Error, "1 of 100 recipients left to be told: 450 busy")
	second := run.attempt(t)
	require.Contains(t, second.Error, "1 of 100 recipients refused for good: 550 <<")
	require.Len(t, s.taken()[0].to, 98)
	require.Equal(t, []string{to[99]}, s.taken()[1].to)
}

func TestARefusedLoginIsTriedAgainAndNeverShown(t *testing.T) {
	t.Parallel()
	config, ca := certified(t)
	s := startMail(t, &mailServer{tls: config, echo: true, answer: script(map[string][]string{"AUTH": {"535 5.7.8 wrong password"}})})
	run := mailing(t, s, map[string]any{"tls": "starttls", "ca": ca, "user": "carillon", "password": "marked-password"})
	refused := run.attempt(t)
	require.Equal(t, carillon.OutcomeRetry, refused.Outcome)
	require.Contains(t, refused.Error, "the mail server refused the login: 535 ")
	require.Equal(t, 535, refused.Response.Status)
	encoded, err := json.Marshal(refused)
	require.NoError(t, err)
	require.NotContains(t, string(encoded), "marked-password")
	require.NotContains(t, string(encoded), base64.StdEncoding.EncodeToString([]byte("\x00carillon\x00marked-password")))
	require.Equal(t, carillon.OutcomeDelivered, run.attempt(t).Outcome)
}

func TestWhatAServerRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers map[string][]string
		fields  map[string]any
		outcome carillon.Outcome
		trouble string
	}{
		"the sender, for good": {
			map[string][]string{"MAIL": {"550 5.7.1 not your domain"}}, nil,
			carillon.OutcomeReject, "the mail server refused the sender: 550 5.7.1 not your domain",
		},
		"a sender who did not log in": {
			map[string][]string{"MAIL": {"530 5.7.0 log in first"}}, nil,
			carillon.OutcomeRetry, "the mail server refused the sender: 530 5.7.0 log in first",
		},
		"the mail, for good": {
			map[string][]string{".": {"554 5.7.1 looks like spam"}}, nil, carillon.OutcomeReject, "554 5.7.1 looks like spam (ann@example.com)",
		},
		"a mail that is too big": {
			map[string][]string{".": {"552 5.3.4 too big"}}, nil, carillon.OutcomeReject, "552 5.3.4 too big (ann@example.com)",
		},
		"one recipient too many": {
			map[string][]string{"RCPT": {"552 5.5.3 too many recipients"}}, nil, carillon.OutcomeRetry, "552 5.5.3 too many recipients",
		},
		"to go on": {
			map[string][]string{"RCPT TO:<bob": {"421 4.3.2 closing"}}, map[string]any{"to": "ann@example.com;bob@example.com"},
			carillon.OutcomeRetry, "421 4.3.2 closing",
		},
		"to serve anybody": {
			map[string][]string{"connect": {"554 5.3.2 no service"}}, nil, carillon.OutcomeRetry, "the mail server takes no mail now: 554 5.3.2 no service",
		},
		"encryption": {
			nil, map[string]any{"tls": "starttls"}, carillon.OutcomeRetry, "the mail server offers no STARTTLS",
		},
		"encryption from the start": {
			nil, map[string]any{"tls": "implicit"}, carillon.OutcomeRetry, "TLS: the receiver does not speak it on this port",
		},
		"to speak SMTP": {
			map[string][]string{"connect": {"HTTP/1.1 400 Bad Request"}}, nil, carillon.OutcomeRetry, "no valid SMTP answer",
		},
		"every mechanism of a login": {
			map[string][]string{"EHLO": {"250-mail.example.com\r\n250 AUTH XOAUTH2"}}, map[string]any{"user": "u", "password": "marked-password"},
			carillon.OutcomeRetry, "the mail server offers no login that Carillon knows (PLAIN, LOGIN, CRAM-MD5)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startMail(t, &mailServer{answer: script(test.answers)})
			a := mailing(t, s, test.fields).attempt(t)
			require.Equal(t, test.outcome, a.Outcome, a.Error)
			require.Contains(t, a.Error, test.trouble)
			require.Empty(t, s.taken())
			require.Empty(t, a.Progress)
		})
	}
}

func TestALoginInTheClearIsTheSubscriptionsOwnWish(t *testing.T) {
	t.Parallel()
	s := startMail(t, &mailServer{answer: script(map[string][]string{"EHLO": {"250-mail.example.com\r\n250 AUTH LOGIN"}})})
	run := mailing(t, s, map[string]any{"user": "carillon", "password": "marked-password"})
	require.Equal(t, carillon.OutcomeDelivered, run.attempt(t).Outcome)
	require.Contains(t, s.heard(), "AUTH LOGIN")
	require.Contains(t, s.heard(), base64.StdEncoding.EncodeToString([]byte("marked-password")))
}

func TestMailOverImplicitTLS(t *testing.T) {
	t.Parallel()
	config, ca := certified(t)
	s := startMail(t, &mailServer{tls: config, implicit: true})
	run := mailing(t, s, map[string]any{"tls": "implicit", "ca": ca, "user": "carillon", "password": "marked-password"})
	a := run.attempt(t)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.NotContains(t, s.heard(), "STARTTLS")

	// The certificate must name the host.
	run = mailing(t, s, map[string]any{"tls": "implicit", "ca": ca, "host": "localhost"})
	a = run.attempt(t)
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "TLS: certificate for another host name", a.Error)
}
