package conditions

import (
	"strings"
	"unicode/utf8"
)

// opening begins an expression; escaped is how a template writes it literally.
const (
	opening = "${"
	escaped = "$${"
)

// piece is a stretch of a template's text: an expression's inside or, with
// $${ replaced, what stands around them.
type piece struct {
	text       string
	expression bool
	// offset is where in the text it begins, in bytes.
	offset int
}

// split cuts a text at its expressions. It reports false when the last one is
// not closed.
func split(text string) ([]piece, bool) {
	var pieces []piece
	var around strings.Builder
	begun := 0
	flush := func() {
		if around.Len() > 0 {
			pieces = append(pieces, piece{text: around.String(), offset: begun})
			around.Reset()
		}
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, escaped):
			around.WriteString(opening)
			i += len(escaped)
		case strings.HasPrefix(rest, opening):
			flush()
			i += len(opening)
			n, ok := expressionEnd(text[i:])
			pieces = append(pieces, piece{text: text[i : i+n], expression: true, offset: i})
			if !ok {
				return pieces, false
			}
			i += n + 1
			begun = i
		default:
			around.WriteByte(text[i])
			i++
		}
	}
	flush()
	return pieces, true
}

// expressionEnd returns where the brace is that closes an expression: not one
// of a map, nor one in a string or a comment.
func expressionEnd(text string) (int, bool) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i, true
			}
			depth--
		case '/':
			if strings.HasPrefix(text[i:], "//") {
				if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
					i += n
				} else {
					return len(text), false
				}
			}
		case '\'', '"':
			n, ok := stringEnd(text[i:], isRaw(text[:i]))
			if !ok {
				return len(text), false
			}
			i += n - 1
		}
	}
	return len(text), false
}

// stringEnd returns the length of the string literal that the text begins with.
// https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values
func stringEnd(text string, raw bool) (int, bool) {
	quotes := text[:1]
	if triple := strings.Repeat(quotes, 3); strings.HasPrefix(text, triple) {
		quotes = triple
	}
	for i := len(quotes); i < len(text); i++ {
		switch {
		case text[i] == '\\' && !raw:
			i++
		case strings.HasPrefix(text[i:], quotes):
			return i + len(quotes), true
		}
	}
	return 0, false
}

// isRaw reports whether what stands before a quote makes the string a raw one.
func isRaw(before string) bool {
	prefix := before[len(strings.TrimRight(before, "rRbB")):]
	if len(prefix) > 2 || !strings.ContainsAny(prefix, "rR") {
		return false
	}
	before = before[:len(before)-len(prefix)]
	if before == "" {
		return true
	}
	c := before[len(before)-1]
	return c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

// offsetOf returns the byte at a line and a column of a text.
func offsetOf(text string, line, column int) int {
	offset := 0
	for ; line > 1; line-- {
		n := strings.IndexByte(text[offset:], '\n')
		if n < 0 {
			return len(text)
		}
		offset += n + 1
	}
	for ; column > 1 && offset < len(text); column-- {
		_, size := utf8.DecodeRuneInString(text[offset:])
		offset += size
	}
	return offset
}
