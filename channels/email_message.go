package channels

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/messages"
)

// maxSubjectBytes is more than any mailbox shows of a subject, and fits on a
// line of SMTP even where it is a single word.
const maxSubjectBytes = 250

// mailContent is what a mail says. An empty part is not sent.
type mailContent struct {
	subject, topic string
	raw            []byte
	text, page     string
}

// content writes the mail's parts. The error is for people: it can never be
// written for this event, unless ctx has ended.
func (e *email) content(ctx context.Context, m Message, endpoint emailEndpoint) (mailContent, error) {
	message, err := told(m, endpoint.Message) //nolint:contextcheck // templates end by their own limits
	if err != nil {
		return mailContent{}, errors.New("the message cannot be written: " + err.Error())
	}
	c := mailContent{subject: subject(message.Title, m.Event.Type), topic: message.Topic}
	if endpoint.Content == contentRaw {
		c.raw, err = e.raw(m)
		return c, err
	}
	if endpoint.Content != contentHTML {
		c.text = plainMail(m, message)
	}
	switch {
	case endpoint.Content == contentText:
	case endpoint.HTML != "" && len(m.Batch) < 2:
		c.page, err = ownPage(ctx, endpoint.HTML, m.Event)
	default:
		c.page, err = defaultPage(m, message)
	}
	return c, err
}

// raw is the event's payload, and of a batch one a line.
func (e *email) raw(m Message) ([]byte, error) {
	events := m.Batch
	if events == nil {
		events = append(events, m.Event)
	}
	lines := make([][]byte, len(events))
	for i, event := range events {
		single := m
		single.Event, single.Batch = event, nil
		payload, err := e.payloads.Payload(single)
		if err != nil {
			return nil, err
		}
		lines[i] = payload.Body
	}
	return bytes.Join(lines, []byte("\n")), nil
}

// shown is the part that tells most, which stands for the mail where it is
// shown, and in the digest of what was sent.
func (c mailContent) shown() formats.Payload {
	switch {
	case c.raw != nil:
		return formats.Payload{ContentType: "text/plain; charset=utf-8", Body: c.raw}
	case c.page != "":
		return formats.Payload{ContentType: "text/html; charset=utf-8", Body: []byte(c.page)}
	default:
		return formats.Payload{ContentType: "text/plain; charset=utf-8", Body: []byte(c.text)}
	}
}

// compose writes the mail as it goes over the wire.
func compose(m Message, env envelope, c mailContent, at time.Time) ([]byte, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(env.from)
	msg.ToMailAddress(env.to...)
	if len(env.cc) > 0 {
		msg.CcMailAddress(env.cc...)
	}
	if env.replyTo != nil {
		msg.ReplyToMailAddress(env.replyTo)
	}
	msg.Subject(encodedSubject(c.subject))
	msg.SetDateWithValue(at)
	// The same mail again has the same name, so that a mailbox can tell.
	msg.SetMessageIDWithValue(name("event", m.id(), m.Subscription) + "@" + env.domain())
	if c.topic != "" {
		// The first mail of a topic answers one that never was: mailboxes show what
		// answers the same together.
		thread := "<" + name("topic", c.topic, m.Subscription) + "@" + env.domain() + ">"
		msg.SetGenHeader(gomail.HeaderInReplyTo, thread)
		msg.SetGenHeader(gomail.HeaderReferences, thread)
	}
	// https://www.rfc-editor.org/rfc/rfc3834#section-5
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	msg.SetGenHeader(gomail.HeaderUserAgent, userAgent())
	msg.SetGenHeader("X-Carillon-Event", m.id())
	msg.SetGenHeader("X-Carillon-Type", m.Event.Type)
	if m.Subscription != "" {
		msg.SetGenHeader("X-Carillon-Subscription", m.Subscription)
		msg.SetGenHeader("List-Id", "<"+m.Subscription+".carillon."+env.domain()+">")
	}
	switch {
	case c.raw != nil:
		msg.SetBodyString(gomail.TypeTextPlain, string(c.raw))
	case c.text == "":
		msg.SetBodyString(gomail.TypeTextHTML, c.page)
	default:
		msg.SetBodyString(gomail.TypeTextPlain, c.text)
		if c.page != "" {
			msg.AddAlternativeString(gomail.TypeTextHTML, c.page)
		}
	}
	var written bytes.Buffer
	_, err := msg.WriteTo(&written)
	return written.Bytes(), err
}

// name is what stands before the @ of a mail's names: the ids of producers can
// hold anything.
func name(of ...string) string {
	const digits = 32
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	return hex.EncodeToString(sum[:])[:digits]
}

// subject makes one line of a title: no control characters, and none that turn
// the direction of what follows.
func subject(title, otherwise string) string {
	line := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case r >= '\u202A' && r <= '\u202E', r >= '\u2066' && r <= '\u2069', r == '\uFEFF', r == utf8.RuneError:
			return -1
		}
		return r
	}, title)
	if line = strings.Join(strings.Fields(line), " "); line == "" {
		line = otherwise
	}
	if len(line) <= maxSubjectBytes {
		return line
	}
	return clip(line, maxSubjectBytes-len("…")) + "…"
}

// encodedSubject keeps what looks like an encoded word from being read as one:
// an encoder leaves ASCII as it is. All else is the library's.
// https://www.rfc-editor.org/rfc/rfc2047#section-2
func encodedSubject(line string) string {
	const (
		begins  = "=?"
		longest = 45 // bytes that an encoded word of 75 characters has room for
	)
	if !strings.Contains(line, begins) {
		return line
	}
	var words []string
	for line != "" {
		piece := clip(line, longest)
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(piece))+"?=")
		line = line[len(piece):]
	}
	return strings.Join(words, " ")
}

// plainMail is the message as text.
func plainMail(m Message, message messages.Message) string {
	paragraphs := []string{message.Title}
	if message.Text != "" {
		paragraphs = append(paragraphs, message.Text)
	}
	var facts []string
	for _, fact := range message.Facts {
		facts = append(facts, fact.Label+": "+fact.Value)
	}
	if facts != nil {
		paragraphs = append(paragraphs, strings.Join(facts, "\n"))
	}
	if message.Link.URL != "" {
		paragraphs = append(paragraphs, strings.TrimPrefix(message.Link.Label+": ", ": ")+message.Link.URL)
	}
	return strings.Join(append(paragraphs, "-- \n"+strings.Join(footer(m), "\n")), "\n\n") + "\n"
}

// footer says, for those who look for its cause, where the mail comes from.
func footer(m Message) []string {
	lines := []string{m.id(), "Sent by Carillon"}
	if len(m.Batch) < 2 {
		lines[0] = m.Event.Type + " · " + m.id()
	}
	if m.Subscription != "" {
		lines[1] += " for " + m.Subscription
	}
	return lines
}
