package channels_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// nodeMail is a mail as smtp.mjs prints it.
type nodeMail struct {
	Port      int         `json:"port"`
	From      string      `json:"from"`
	To        []string    `json:"to"`
	Encrypted bool        `json:"encrypted"`
	User      string      `json:"user"`
	Headers   [][2]string `json:"headers"`
	Subject   string      `json:"subject"`
	Sender    []struct {
		Name    string `json:"name"`
		Address string `json:"address"`
	} `json:"sender"`
	Text        string `json:"text"`
	HTML        string `json:"html"`
	Attachments int    `json:"attachments"`
	MessageID   string `json:"messageId"`
	References  string `json:"references"`
}

func (m nodeMail) header(name string) []string {
	var lines []string
	for _, h := range m.Headers {
		if h[0] == name {
			lines = append(lines, h[1])
		}
	}
	return lines
}

// nodeServer starts npm's smtp-server; next waits for its next mail. It returns
// nil without Node, which make test lists as left out.
func nodeServer(t *testing.T, config *tls.Config, options map[string]any) (port int, next func() nodeMail) {
	t.Helper()
	node := os.Getenv("CARILLON_TEST_NODE")
	if node == "" && os.Getenv("CARILLON_TEST_REQUIRE") != "all" {
		return 0, nil
	}
	certificate := config.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	require.NoError(t, err)
	options["cert"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
	options["key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	line, err := json.Marshal(options)
	require.NoError(t, err)

	cmd := exec.Command(node, filepath.Join("..", "e2e", "verify", "smtp.mjs"))
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = input.Close() // it ends with its input
		_ = cmd.Wait()
	})
	_, err = input.Write(append(line, '\n'))
	require.NoError(t, err)
	lines := bufio.NewReader(output)
	next = func() nodeMail {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		var m nodeMail
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		return m
	}
	return next().Port, next
}

func TestMailsAreReadByAServerAndAParserThatOthersWrote(t *testing.T) {
	t.Parallel()
	config, ca := certified(t)
	for mode, secure := range map[string]bool{"starttls": false, "implicit": true} {
		port, next := nodeServer(t, config, map[string]any{
			"secure": secure, "user": "carillon", "password": "marked-password",
			"refuse": map[string]any{"bob@example.com": []any{550, "no such user"}},
		})
		if next == nil {
			return
		}
		sender := emailSender(t, loopback)
		fields := map[string]any{
			"host": "127.0.0.1", "port": port, "tls": mode, "ca": ca, "user": "carillon", "password": "marked-password",
			"from": "Glöckchen 🔔 <bells@example.com>", "to": "ann@example.com; bob@example.com; eve@example.com",
			"message": map[string]string{"title": "${data.package} ist da 🔔", "text": "Grüße von ${data.package}\nund mehr."},
		}
		m := conformance{}.message(kept(t, sender, fields), 1)
		m.Subscription = "sub_01"
		m.Event.Data = json.RawMessage(`{"package":"Übergrößen <b>漢字</b>\r\nBcc: mallory@example.com","version":"1"}`)
		a := sender.Attempt(t.Context(), m)
		require.Equal(t, carillon.OutcomeReject, a.Outcome, a.Error)
		require.Contains(t, a.Error, "1 of 3 recipients refused for good: 550 no such user (bob@example.com)")

		mail := next()
		require.Equal(t, "bells@example.com", mail.From)
		require.Equal(t, []string{"ann@example.com", "eve@example.com"}, mail.To)
		require.True(t, mail.Encrypted)
		require.Equal(t, "carillon", mail.User)
		require.Equal(t, "Übergrößen <b>漢字</b> Bcc: mallory@example.com ist da 🔔", mail.Subject)
		require.Equal(t, "Glöckchen 🔔", mail.Sender[0].Name)
		require.Contains(t, mail.Text, "Grüße von Übergrößen <b>漢字</b> Bcc: mallory@example.com\nund mehr.")
		require.Contains(t, mail.HTML, "Grüße von Übergrößen &lt;b&gt;漢字&lt;/b&gt; Bcc: mallory@example.com")
		require.Contains(t, mail.HTML, "und mehr.")
		require.Zero(t, mail.Attachments)
		require.NotEmpty(t, mail.References)
		for _, name := range []string{"bcc", "cc"} {
			require.Empty(t, mail.header(name))
		}
		for _, name := range []string{"from", "to", "subject", "date", "message-id", "mime-version", "content-type", "auto-submitted", "list-id"} {
			require.Len(t, mail.header(name), 1, name)
		}
		require.Contains(t, strings.Join(mail.header("x-carillon-event"), ""), m.Event.ID)

		// The same again, to somebody else, has the same name.
		m.Progress = a.Progress
		fields["to"] = "ann@example.com; new@example.com"
		m.Endpoint = kept(t, sender, fields)
		a = sender.Attempt(t.Context(), m)
		require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
		require.Contains(t, a.Response.Body, "250 ")
		again := next()
		require.Equal(t, []string{"new@example.com"}, again.To)
		require.Equal(t, mail.MessageID, again.MessageID)

		fields["password"] = "marked-wrong"
		m.Endpoint, m.Progress = kept(t, sender, fields), nil
		a = sender.Attempt(t.Context(), m)
		require.Equal(t, carillon.OutcomeRetry, a.Outcome)
		require.Contains(t, a.Error, "the mail server refused the login: 535 wrong user or password")
		encoded, err := json.Marshal(a)
		require.NoError(t, err)
		require.NotContains(t, string(encoded), "marked-wrong")
	}
}

// The options of the products' pages, and the field here that each is.
func TestEveryMailOptionOfTheProductsHasAField(t *testing.T) {
	t.Parallel()
	fields := map[string]channels.Field{}
	for _, f := range emailSender(t, loopback).Describe().Fields {
		fields[f.Name] = f
		for _, inner := range f.Fields {
			fields[f.Name+"."+inner.Name] = inner
		}
	}
	for option, field := range map[string]string{
		"MyGet, Email webhook: Host":                           "host",
		"MyGet, Email webhook: Port":                           "port",
		"MyGet, Email webhook: Use TLS?":                       "tls",
		"MyGet, Email webhook: SMTP Username":                  "user",
		"MyGet, Email webhook: SMTP password":                  "password",
		"MyGet, Email webhook: From":                           "from",
		"MyGet, Email webhook: To (separated by semicolon)":    "to",
		"MyGet, Email webhook: Body (raw JSON, text or HTML)":  "content",
		"ProGet, SMTP Settings: mail server, set once":         "host",
		"ProGet, SMTP Settings: port":                          "port",
		"ProGet, SMTP Settings: encryption":                    "tls",
		"ProGet, SMTP Settings: user name":                     "user",
		"ProGet, SMTP Settings: password":                      "password",
		"ProGet, SMTP Settings: from address":                  "from",
		"ProGet, Send an email: recipients":                    "to",
		"ProGet, Send an email: subject":                       "message.title",
		"ProGet, Send an email: body, text":                    "message.text",
		"ProGet, Send an email: body, HTML":                    "html",
		"DefectDojo, System Settings: mail notifications to":   "to",
		"DefectDojo, System Settings: mail notifications from": "from",
		"DefectDojo, environment: the mail server's URL":       "host",
		"CodeScoring, Email action: address":                   "to",
		"CodeScoring, Email action: template":                  "html",
	} {
		require.Contains(t, fields, field, option)
		require.NotEmpty(t, fields[field].Text, option)
	}
	for _, shared := range []string{"host", "port", "tls", "user", "password", "from"} {
		require.True(t, fields[shared].Shared, "%s is set once for all", shared)
	}
	require.Equal(t, ";", fields["to"].Separator)
	require.Equal(t, []string{"raw", "text", "html", "both"}, fields["content"].Values)
	require.True(t, fields["password"].Secret)
	for _, template := range []string{"message.title", "message.text", "html"} {
		require.True(t, fields[template].Template, template)
	}
}
