package conditions

import (
	"net/url"
	"strings"
	"unicode"
)

// Mode says what a template writes, and so how the values in it are escaped:
// whatever a value holds, the structure is the template's.
type Mode string

// The modes. JSON is a document whose strings may hold expressions; JSONSlack
// is one whose strings Slack reads as mrkdwn, JSONHTML one whose strings
// somebody shows as HTML. Text is plain text, in which a value stays on its
// line; Slack is text for Slack, in which a value is neither link nor mention;
// Markdown is text in which it is nothing but text. HTML is a page, or a piece of one; XML is a document. Form is percent-encoded, for a query or a form; Path is
// a piece of a URL's path; Header is the value of a header.
const (
	JSON      Mode = "json"
	JSONSlack Mode = "json-slack"
	JSONHTML  Mode = "json-html"
	Text      Mode = "text"
	Slack     Mode = "slack"
	Markdown  Mode = "markdown"
	HTML      Mode = "html"
	XML       Mode = "xml"
	Form      Mode = "form"
	Path      Mode = "path"
	Header    Mode = "header"
)

func (m Mode) json() bool { return m == JSON || m == JSONSlack || m == JSONHTML }

// escapes has what each mode makes of a value's text. HTML is not here: what a
// value may be depends on where in the page it stands; see [page.write]. Of
// JSONHTML it is for values that are all of a string.
var escapes = map[Mode]func(string) string{
	JSONSlack: func(s string) string { return oneLine(escapeSlack(s)) },
	JSONHTML:  htmlPiece.Replace,
	XML:       escapeXML,
	Text:      oneLine,
	Markdown:  escapeMarkdown,
	Slack:     func(s string) string { return oneLine(escapeSlack(s)) },
	Form:      url.QueryEscape,
	Path:      url.PathEscape,
	Header:    oneLine,
}

// escapeSlack keeps a value from being a link, a mention or a command such as
// <!channel>. https://docs.slack.dev/messaging/formatting-message-text/#escaping
func escapeSlack(s string) string { return slackText.Replace(s) }

var (
	slackText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	htmlText  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")
	// htmlPiece is what html/template makes of a text between tags.
	htmlPiece = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "+", "&#43;")
)

// oneLine makes spaces of line breaks and other control characters: what comes
// after a line break could pass for a line of the template.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

// escapeXML makes spaces of the characters that no XML document can hold.
// https://www.w3.org/TR/xml/#charsets
func escapeXML(s string) string {
	return htmlText.Replace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' || r == '\uFFFE' || r == '\uFFFF' {
			return ' '
		}
		return r
	}, s))
}

// checkXML refuses an expression within a tag, but for the value of an
// attribute in quotes, where it could make other attributes; and within a
// comment, where "--" is an error.
func (c *compiler) checkXML() {
	// until is what ends the piece of markup that the text is in.
	until := ""
	for _, p := range c.parts {
		if p.expression != nil {
			if until == ">" || until == "-->" {
				c.wrong(p.expression.at(1, 1), "in a tag, ${…} can stand only in the value of an attribute, in quotes; and not in a comment")
			}
			continue
		}
		for text := p.text; text != ""; {
			text, until = nextMarkup(text, until)
		}
	}
}

// nextMarkup goes to where the markup of a text changes: an empty until is text
// between tags, ">" a tag, a quote an attribute in it.
func nextMarkup(text, until string) (rest, then string) {
	switch until {
	case "":
		i := strings.IndexByte(text, '<')
		if i < 0 {
			return "", ""
		}
		text = text[i:]
		for begin, end := range map[string]string{"<!--": "-->", "<![CDATA[": "]]>"} {
			if strings.HasPrefix(text, begin) {
				return text[len(begin):], end
			}
		}
		return text[1:], ">"
	case ">":
		i := strings.IndexAny(text, `>"'`)
		if i < 0 {
			return "", until
		}
		if text[i] == '>' {
			return text[i+1:], ""
		}
		return text[i+1:], text[i : i+1]
	default:
		_, rest, found := strings.Cut(text, until)
		switch {
		case !found:
			return "", until
		case len(until) == 1:
			return rest, ">"
		default:
			return rest, ""
		}
	}
}
