package conditions

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// invalidURL stands for a value that may not be an address, as a page's
// "about:invalid" does.
const invalidURL = "about:invalid"

// addresses are what a value may begin with where it is an address.
var addresses = []string{"http://", "https://", "mailto:"}

func isAddress(s string) bool {
	return slices.ContainsFunc(addresses, func(scheme string) bool {
		return len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme)
	})
}

// encodeRunes percent-encodes white space, control characters and those of set.
func encodeRunes(s, set string) string {
	var out strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune(set, r) {
			out.WriteString(url.QueryEscape(string(r)))
		} else {
			out.WriteRune(r)
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(out.String(), "+", "%20"), "&", "&amp;")
}

// slackLink follows the literal text of a template for Slack, in which <…> is a
// link, a mention or a command by what it begins with.
// https://docs.slack.dev/messaging/formatting-message-text/#advanced
type slackLink struct {
	open bool
	// literal is what stands between < and the expression; begun says that a
	// value stands there, too.
	literal string
	begun   bool
}

func (l *slackLink) text(s string) {
	if i := strings.LastIndexAny(s, "<>"); i >= 0 {
		*l = slackLink{open: s[i] == '<', literal: s[i+1:]}
	} else if l.open {
		l.literal += s
	}
}

// value returns how a value is escaped that stands here, nil for as everywhere;
// false says that none can.
func (l *slackLink) value() (escape func(string) string, ok bool) {
	begun := l.begun
	l.begun = l.open
	switch {
	case !l.open || strings.Contains(l.literal, "|"): // no link, or its label
		return nil, true
	case begun || isAddress(l.literal) || strings.HasPrefix(l.literal, "!date^"):
		return slackAddress, true
	case l.literal == "":
		return func(s string) string {
			if !isAddress(s) {
				return invalidURL
			}
			return slackAddress(s)
		}, true
	default:
		return nil, false
	}
}

// slackAddress keeps a value from ending the address that it is in.
func slackAddress(s string) string { return encodeRunes(s, `<>|^"`) }

// escapeMarkdown keeps a value from being anything but text: a backslash stands
// before punctuation, which in front of a letter is none.
// https://spec.commonmark.org/0.31.2/#backslash-escapes
func escapeMarkdown(s string) string {
	var out strings.Builder
	for i, r := range oneLine(s) {
		switch {
		case r == '<':
			out.WriteString("&lt;")
		case r == '&':
			out.WriteString("&amp;")
		case i == 0 && r == ' ': // four of them would be code
			out.WriteString("&#32;")
		case r > ' ' && r < unicode.MaxASCII && !unicode.IsLetter(r) && !unicode.IsDigit(r):
			out.WriteByte('\\')
			out.WriteRune(r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// markdownAddress is a value that stands where Markdown reads an address.
func markdownAddress(s string) string {
	if !isAddress(s) {
		return invalidURL
	}
	return encodeRunes(s, "<>()[]\\`\"'|^{}")
}

// inMarkdown returns how a value is escaped after a literal text.
func inMarkdown(before string) func(string) string {
	for _, opening := range []string{"](", "](<", "<"} {
		if strings.HasSuffix(before, opening) {
			return markdownAddress
		}
	}
	return nil
}
