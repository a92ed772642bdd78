package channels

import (
	"encoding/json"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

// emailEndpoint is the JSON shape of an e-mail's endpoint.
type emailEndpoint struct {
	Host     string             `json:"host,omitempty"`
	Port     uint16             `json:"port,omitempty"`
	TLS      string             `json:"tls,omitempty"`
	CA       string             `json:"ca,omitempty"`
	User     string             `json:"user,omitempty"`
	Password string             `json:"password,omitempty"`
	From     string             `json:"from,omitempty"`
	To       []string           `json:"to"`
	CC       []string           `json:"cc,omitempty"`
	ReplyTo  string             `json:"reply_to,omitempty"`
	Content  string             `json:"content"`
	Message  messages.Overrides `json:"message,omitzero"`
	HTML     string             `json:"html,omitempty"`
	Timeout  carillon.Duration  `json:"timeout"`
}

// How the connection to a mail server is encrypted.
const (
	tlsNone     = "none"
	tlsStart    = "starttls"
	tlsImplicit = "implicit"
)

// What a mail is made of.
const (
	contentRaw  = "raw"
	contentText = "text"
	contentHTML = "html"
	contentBoth = "both"
)

// maxRecipients is what every server takes in one transaction.
// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.8
const maxRecipients = 100

// maxMailPart bounds an address, a name and a password of SMTP: a command is at
// most 512 bytes long.
const maxMailPart = 320

var emailFields = []Field{
	{
		Name: "host", Type: Text, Required: true, Shared: true, Moves: true, Max: 253,
		Text: "The mail server (SMTP).", Example: "smtp.example.com",
	},
	{
		Name: "port", Type: Integer, Shared: true, Moves: true, Min: 1, Max: 65535, Example: "587",
		Text: "Its port: 587 unless given, 465 with implicit TLS, 25 with none.",
	},
	{
		Name: "tls", Type: Text, Shared: true, Moves: true, Values: []string{tlsNone, tlsStart, tlsImplicit},
		Default: json.RawMessage(`"` + tlsStart + `"`),
		Text: "How the connection is encrypted: starttls begins in the clear and goes on only encrypted, implicit is encrypted " +
			"from the start, none never, password included.",
	},
	{
		Name: "ca", Type: LongText, Shared: true, Moves: true, Max: 16 << 10,
		Text: "Certificates (PEM) of the authority that signed the server's, where it is none that the system knows.",
	},
	{Name: "user", Type: Text, Shared: true, Max: maxMailPart, Text: "The user to log in as; no login without.", Example: "carillon"},
	{Name: "password", Type: Text, Shared: true, Secret: true, Max: maxSecretBytes, Text: "The user's password."},
	{
		Name: "from", Type: Text, Required: true, Shared: true, Max: maxMailPart,
		Text: "The sender: an address, with a name if you like.", Example: "Carillon <carillon@example.com>",
	},
	{
		Name: "to", Type: Texts, Required: true, Separator: ";", Max: maxRecipients,
		Text: "The recipients: a list, or one text with ; between them.", Example: "core@example.com; security@example.com",
	},
	{Name: "cc", Type: Texts, Separator: ";", Max: maxRecipients, Text: "Who gets a copy, given as in to.", Example: "audit@example.com"},
	{Name: "reply_to", Type: Text, Max: maxMailPart, Text: "Where answers go, when not to the sender.", Example: "core@example.com"},
	{
		Name: "content", Type: Text, Values: []string{contentRaw, contentText, contentHTML, contentBoth},
		Default: json.RawMessage(`"` + contentBoth + `"`),
		Text:    "What the mail is made of: text, HTML, both as alternatives, or raw, the payload in the subscription's format.",
	},
	messageField,
	{
		Name: "html", Type: LongText, Template: true,
		Text: "The subscription's own page in the place of the default one, with ${…} in it.", Example: "<p>${data.package} ${data.version}</p>",
	},
	{
		Name: "timeout", Type: Duration, Default: json.RawMessage(`"30s"`), Max: int(maxTimeout.Seconds()),
		Text: "How long an attempt may take. Some servers make strangers wait.",
	},
}

// emailChannel is the channel as people are told of it.
var emailChannel = Description{
	Name: "email", Title: "E-mail", ForPeople: true, Fields: emailFields,
	Text: "Mails with a subject, text and HTML, over your own mail server. Each recipient is told once.",
}
