package messages

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a message, in characters. A title is read at a glance, and is the
// subject of an e-mail; the whole stays within what every channel takes.
const (
	maxTitle = 200
	maxText  = 2000
	maxValue = 300
	maxLabel = 60
	maxFacts = 20
	maxURL   = 2000
	// maxPlain is where a value that is a list or an object is cut, in bytes.
	maxPlain = 4096
	maxDepth = 6
)

// isHidden is a character that is not for reading: a control character, or one
// that turns the direction of what follows it.
func isHidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == utf8.RuneError
}

// oneLine makes one line of a text: white space of any kind becomes a space,
// hidden characters go.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if isHidden(r) {
			return ' '
		}
		return r
	}, text)), " ")
}

// lines does the same for each line of a text.
func lines(text string) string {
	var kept []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		line = oneLine(line)
		if line == "" && (len(kept) == 0 || kept[len(kept)-1] == "") {
			continue
		}
		kept = append(kept, line)
	}
	return strings.TrimRight(strings.Join(kept, "\n"), "\n")
}

// clip cuts a text after so many characters, and marks that it did.
func clip(text string, most int) string {
	if len(text) <= most || utf8.RuneCountInString(text) <= most {
		return text
	}
	runes := []rune(text)
	return strings.TrimRight(string(runes[:most-1]), " \n") + "…"
}

// plain writes a value of an event as people read it: nothing for null, the
// elements of a list with commas, an object as "key: value; key: value".
func plain(value any) string {
	var out strings.Builder
	writePlain(&out, value, 0)
	return out.String()
}

func writePlain(out *strings.Builder, value any, depth int) {
	if out.Len() > maxPlain || depth > maxDepth {
		return
	}
	switch v := value.(type) {
	case string:
		out.WriteString(oneLine(v[:min(len(v), maxPlain)]))
	case json.Number:
		out.WriteString(v.String())
	case bool:
		out.WriteString(map[bool]string{true: "yes", false: "no"}[v])
	case []any:
		writeParts(out, ", ", slices.Values(v), func(inner *strings.Builder, element any) { writePlain(inner, element, depth+1) })
	case map[string]any:
		writeParts(out, "; ", slices.Values(slices.Sorted(maps.Keys(v))), func(inner *strings.Builder, key string) {
			var text strings.Builder
			if writePlain(&text, v[key], depth+1); text.Len() > 0 {
				inner.WriteString(words(key) + ": " + text.String())
			}
		})
	}
}

func writeParts[T any](out *strings.Builder, between string, parts func(func(T) bool), write func(*strings.Builder, T)) {
	first := true
	for part := range parts {
		var inner strings.Builder
		write(&inner, part)
		if inner.Len() == 0 {
			continue
		}
		if !first {
			out.WriteString(between)
		}
		first = false
		out.WriteString(inner.String())
		if out.Len() > maxPlain {
			return
		}
	}
}

// words writes a key or a type as words: "build_host" as "build host".
func words(key string) string {
	return oneLine(strings.NewReplacer("_", " ", "-", " ", ".", " ").Replace(key))
}

// capital begins a text with a capital letter.
func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// number writes a number as people read it: "2,480".
func number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// counted is what several events of a type are called.
type counted struct{ one, many string }

// readCounted reads "package(s) added" and "vulnerabilit(y/ies) found".
func readCounted(text string) counted {
	before, rest, ok := strings.Cut(text, "(")
	if !ok {
		return counted{text, text}
	}
	ending, after, _ := strings.Cut(rest, ")")
	one, many, ok := strings.Cut(ending, "/")
	if !ok {
		one, many = "", ending
	}
	return counted{before + one + after, before + many + after}
}

func (c counted) write(n int) string {
	if n == 1 {
		return "1 " + c.one
	}
	return fmt.Sprintf("%s %s", number(n), c.many)
}
