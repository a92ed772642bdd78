package channels_test

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// readMail is a mail as a mailbox reads it.
type readMail struct {
	header mail.Header
	// parts are the bodies by their types, in their order.
	types []string
	parts map[string]string
}

func parseMail(t *testing.T, data string) readMail {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	require.NoError(t, err)
	read := readMail{header: m.Header, parts: map[string]string{}}
	part := func(header textproto.MIMEHeader, body io.Reader) {
		kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
		require.NoError(t, err)
		require.Equal(t, "utf-8", strings.ToLower(params["charset"]))
		require.Equal(t, "quoted-printable", header.Get("Content-Transfer-Encoding"))
		text, err := io.ReadAll(quotedprintable.NewReader(body))
		require.NoError(t, err)
		read.types = append(read.types, kind)
		read.parts[kind] = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	if kind != "multipart/alternative" {
		part(textproto.MIMEHeader(m.Header), m.Body)
		return read
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return read
		}
		require.NoError(t, err)
		part(p.Header, p)
	}
}

func mailHeader(t *testing.T, m received, name string) string {
	t.Helper()
	return parseMail(t, m.data).header.Get(name)
}

func decoded(t *testing.T, header string) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(header)
	require.NoError(t, err)
	return text
}

// mailed delivers one message and returns the mail.
func mailed(t *testing.T, fields map[string]any, change func(*channels.Message)) readMail {
	t.Helper()
	s := startMail(t, &mailServer{})
	run := mailing(t, s, fields)
	m := conformance{format: "standard"}.message(run.endpoint, 1)
	m.Subscription = "sub_01"
	if change != nil {
		change(&m)
	}
	a := run.sender.Attempt(t.Context(), m)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Len(t, s.taken(), 1)

	shown, err := run.sender.(channels.Renderer).Payload(m)
	require.NoError(t, err)
	require.Len(t, shown.Body, a.Request.PayloadBytes, "what is shown is what was sent")
	return parseMail(t, s.taken()[0].data)
}

func TestAMailHasTextAndAPage(t *testing.T) {
	t.Parallel()
	m := mailed(t, map[string]any{"to": "Ann Ä <ann@example.com>; bob@bücher.example", "cc": "eve@example.com", "reply_to": "core@example.com"}, nil)
	require.Equal(t, []string{"text/plain", "text/html"}, m.types)
	for name, part := range m.parts {
		require.Contains(t, part, "left-pad", name)
		require.Contains(t, part, "evt_01JD9Q7V5T3K8M2N4P6R8S0T1V", name)
	}
	to, err := m.header.AddressList("To")
	require.NoError(t, err)
	require.Equal(t, []*mail.Address{{Name: "Ann Ä", Address: "ann@example.com"}, {Address: "bob@xn--bcher-kva.example"}}, to)
	require.Equal(t, `<eve@example.com>`, m.header.Get("Cc"))
	require.Equal(t, `<core@example.com>`, m.header.Get("Reply-To"))
	require.Equal(t, `"Carillon" <bells@example.com>`, m.header.Get("From"))
	require.Equal(t, "auto-generated", m.header.Get("Auto-Submitted"))
	require.Equal(t, "evt_01JD9Q7V5T3K8M2N4P6R8S0T1V", m.header.Get("X-Carillon-Event"))
	require.Equal(t, "package.added", m.header.Get("X-Carillon-Type"))
	require.Equal(t, "<sub_01.carillon.example.com>", m.header.Get("List-Id"))
	require.Regexp(t, `^<[0-9a-f]{32}@example\.com>$`, m.header.Get("Message-Id"))
	at, err := m.header.Date()
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
}

func TestMailsOfOneTopicAreShownTogether(t *testing.T) {
	t.Parallel()
	first := mailed(t, nil, nil)
	second := mailed(t, nil, func(m *channels.Message) { m.Event.ID = "evt_2" })
	other := mailed(t, nil, func(m *channels.Message) {
		m.Event.ID, m.Event.Subject, m.Event.Data = "evt_3", "pkg:npm/other@1.0.0", json.RawMessage(`{"package":"other","version":"1.0.0"}`)
	})
	require.NotEmpty(t, first.header.Get("References"))
	require.Equal(t, first.header.Get("References"), second.header.Get("References"))
	require.Equal(t, first.header.Get("References"), first.header.Get("In-Reply-To"))
	require.NotEqual(t, first.header.Get("References"), other.header.Get("References"))
	require.NotEqual(t, first.header.Get("Message-Id"), second.header.Get("Message-Id"))
}

func TestWhatAMailIsMadeOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"text/plain"}, mailed(t, map[string]any{"content": "text"}, nil).types)
	require.Equal(t, []string{"text/html"}, mailed(t, map[string]any{"content": "html"}, nil).types)

	raw := mailed(t, map[string]any{"content": "raw"}, nil)
	require.Equal(t, []string{"text/plain"}, raw.types)
	var payload struct {
		ID   string          `json:"id"`
		Data json.RawMessage `json:"data"`
	}
	require.NoError(t, json.Unmarshal([]byte(raw.parts["text/plain"]), &payload))
	require.Equal(t, "evt_01JD9Q7V5T3K8M2N4P6R8S0T1V", payload.ID)
	require.JSONEq(t, `{"package":"left-pad","version":"1.3.0"}`, string(payload.Data))

	own := mailed(t, map[string]any{
		"html": "<p class=x>${data.package}</p>", "message": map[string]string{"title": "${data.package} is there", "text": "Version ${data.version}"},
	}, func(m *channels.Message) { m.Event.Data = json.RawMessage(`{"package":"a<b>&é","version":"1"}`) })
	require.Equal(t, `<p class=x>a&lt;b&gt;&amp;é</p>`, own.parts["text/html"])
	require.Contains(t, own.parts["text/plain"], "a<b>&é is there\n\nVersion 1\n")
	require.Equal(t, "a<b>&é is there", decoded(t, own.header.Get("Subject")))
}

func TestManyEventsAreOneMail(t *testing.T) {
	t.Parallel()
	many := func(m *channels.Message) {
		second := m.Event
		second.ID = "evt_2"
		m.Batch = []carillon.Event{m.Event, second}
	}
	m := mailed(t, map[string]any{"html": "<p>${data.package}</p>"}, many)
	require.Contains(t, m.header.Get("Subject"), "2 ")
	require.Contains(t, m.parts["text/html"], m.header.Get("Subject"), "the subscription's own page is for one event")

	raw := mailed(t, map[string]any{"content": "raw"}, many)
	lines := strings.Split(strings.TrimSpace(raw.parts["text/plain"]), "\n")
	require.Len(t, lines, 2)
	for _, line := range lines {
		require.True(t, json.Valid([]byte(line)), line)
	}
}

// FuzzNoValueGetsOutOfItsPlace puts any value where a subject, an address and a
// page take one: the mail keeps the headers and the elements that it has
// without.
func FuzzNoValueGetsOutOfItsPlace(f *testing.F) {
	for _, value := range []string{
		"plain", "a\r\nBcc: eve@example.com", "a\nb", "\x00", "\r", "=?utf-8?Q?a=0D=0ABcc:_eve@example.com?=", "\u202Egnp.exe", "🔔 é 漢字",
		strings.Repeat("x", 5000), strings.Repeat("漢 ", 900), "<script>alert(1)</script>", `" onload="x`, "</td></table>", "\u2028", ".", "\r\n.\r\nMAIL FROM:<x>",
		"--\nContent-Type: text/html", "\xff\xfe", " ", "=?", "${data.version}", "=\r\n", "&lt;b&gt;", "<!--", "\uFEFF",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		data, err := json.Marshal(map[string]string{"package": value, "version": "1"})
		require.NoError(t, err)
		fields := map[string]any{
			"message": map[string]string{"title": "New: ${data.package}!", "text": "It is ${data.package}."},
			"html":    `<table><tr><td title="${data.package}">${data.package}</td></tr></table>`,
		}
		with := func(text string, own bool) readMail {
			data, err := json.Marshal(map[string]string{"package": text, "version": "1"})
			require.NoError(t, err)
			change := func(m *channels.Message) { m.Event.Data, m.Event.Actor = data, text }
			if own {
				return mailed(t, fields, change)
			}
			return mailed(t, map[string]any{"message": fields["message"]}, change)
		}
		require.True(t, json.Valid(data))
		for _, own := range []bool{true, false} {
			m, plain := with(value, own), with("plain", own)
			require.Equal(t, headerNames(plain), headerNames(m))
			require.Equal(t, plain.types, m.types)
			require.Equal(t, plain.header.Get("To"), m.header.Get("To"))
			want, tags := elements(t, plain.parts["text/html"]), elements(t, m.parts["text/html"])
			if !own { // whose facts are left out when they are blank
				want, tags = distinct(want), distinct(tags)
			}
			require.Equal(t, want, tags)

			subject := decoded(t, m.header.Get("Subject"))
			require.True(t, utf8.ValidString(subject))
			require.False(t, strings.ContainsFunc(subject, unicode.IsControl), "%q", subject)
			require.LessOrEqual(t, len(subject), 250)
			require.True(t, strings.HasPrefix(subject, "New: "), "%q", subject)
			if utf8.ValidString(value) && strings.Join(strings.Fields(value), " ") == value && strings.ContainsFunc(value, unicode.IsLetter) &&
				len(value) < 100 && !strings.ContainsFunc(value, func(r rune) bool { return unicode.In(r, unicode.Cf, unicode.Cc, unicode.Zl) }) {
				require.Equal(t, "New: "+value+"!", subject)
			}
		}
	})
}

func distinct(tags []string) []string {
	slices.Sort(tags)
	return slices.Compact(tags)
}

func headerNames(m readMail) []string {
	var names []string
	for name, values := range m.header {
		names = append(names, strings.Repeat(name+" ", len(values)))
	}
	slices.Sort(names)
	return names
}

// elements lists the tags of a page, with the names of their attributes.
func elements(t *testing.T, page string) []string {
	t.Helper()
	var tags []string
	tokens := html.NewTokenizer(strings.NewReader(page))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			require.ErrorIs(t, tokens.Err(), io.EOF)
			return tags
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			token := tokens.Token()
			tag := token.Data
			for _, attribute := range token.Attr {
				tag += " " + attribute.Key
			}
			tags = append(tags, tag)
		case html.TextToken, html.CommentToken, html.DoctypeToken:
		}
	}
}

func FuzzAnAddressIsOneAddress(f *testing.F) {
	for _, text := range []string{
		"ann@example.com", "Ann <ann@example.com>", "\"a\\\"b\" <a@b.example>", "a@b\r\nRCPT TO:<c@d>", "a@b, c@d", "a@b> SIZE=1", "<a@b>",
		"\"a\r\nBcc: x@y\" <a@b.example>", "=?utf-8?q?=0D=0ABcc:_x?= <a@b.example>", "\"a b\"@example.com", "\"a@b\"@example.com", "a@[127.0.0.1]", "é@example.com", "a@é.example",
		"a@b\x00", "a b@c", "@", "a@", "a@b;c@d",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := startMail(t, &mailServer{})
		sender := emailSender(t, loopback)
		posted, err := json.Marshal(mailTo(s, map[string]any{"to": []string{text}, "from": text, "reply_to": text}))
		require.NoError(t, err)
		endpoint, _, err := sender.Prepare(posted, nil)
		if err != nil {
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
			return
		}
		a := sender.Attempt(t.Context(), conformance{}.message(endpoint, 1))
		require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
		require.Len(t, s.taken(), 1)
		var commands []string
		for _, line := range s.heard() {
			verb, _, _ := strings.Cut(line, " ")
			commands = append(commands, verb)
		}
		require.Equal(t, []string{"EHLO", "MAIL", "RCPT", "DATA"}, commands[:4])
		m := parseMail(t, s.taken()[0].data)
		for _, name := range []string{"From", "To", "Reply-To"} {
			list, err := m.header.AddressList(name)
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.False(t, strings.ContainsAny(list[0].Address, "\r\n\x00"))
		}
		require.Empty(t, m.header["Bcc"])
	})
}
