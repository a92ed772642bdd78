package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
)

// Limits of a number in JSON. Readers down the line hold it as a double, or
// expand it to all its digits, which 1e999999 makes a megabyte.
const (
	maxNumberBytes    = 64
	maxNumberExponent = 400 // a double ends at 1e308
)

// maxKeys is how many keys a body may have: each costs many times its bytes
// where it is read into maps. In the largest batch they may still be as many as
// one in 26 bytes.
const maxKeys = 20_000

// checkJSON reports whether data is one JSON value that every reader down the
// line takes for the same: valid Unicode, no U+0000 (PostgreSQL's TEXT cannot
// hold it), no key twice in an object, at most [maxKeys] keys, numbers
// within a double, and at most [carillon.MaxJSONDepth] levels of arrays and
// objects. The error is a
// [carillon.CodeInvalid] with the place as pointer, line and column.
func checkJSON(data []byte) error {
	s := scanner{data: data}
	s.space()
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.at < len(s.data) {
		return s.fail("there is more after the end of the JSON value")
	}
	return nil
}

// scanner walks over JSON text (RFC 8259) without building anything of it.
type scanner struct {
	data []byte
	at   int
	path []string // keys and indexes from the root to the value at hand
	keys int      // seen so far
}

func (s *scanner) value(depth int) error {
	if s.at == len(s.data) {
		return s.fail("a JSON value is missing here")
	}
	switch c := s.data[s.at]; {
	case c == '{' || c == '[':
		if depth == carillon.MaxJSONDepth {
			return s.fail("nested deeper than %d levels", carillon.MaxJSONDepth)
		}
		if c == '{' {
			return s.object(depth + 1)
		}
		return s.array(depth + 1)
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fail("this is not JSON: a value must be an object, an array, a string, a number, true, false or null")
}

func (s *scanner) object(depth int) error {
	s.at++
	s.space()
	if s.take('}') {
		return nil
	}
	keys := map[string]struct{}{}
	for {
		if s.at == len(s.data) || s.data[s.at] != '"' {
			return s.fail("this is not JSON: a key in double quotes is expected here")
		}
		start := s.at
		key, err := s.text()
		if err != nil {
			return err
		}
		s.path = append(s.path, key)
		if _, twice := keys[key]; twice {
			s.at = start
			return s.fail("this key is given twice")
		}
		keys[key] = struct{}{}
		if s.keys++; s.keys > maxKeys {
			s.at = start
			return s.fail("a body may have at most %d keys", maxKeys)
		}
		s.space()
		if !s.take(':') {
			return s.fail("this is not JSON: a colon is expected after a key")
		}
		s.space()
		if err := s.value(depth); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		s.space()
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.fail("this is not JSON: a comma or } is expected here")
		}
		s.space()
	}
}

func (s *scanner) array(depth int) error {
	s.at++
	s.space()
	if s.take(']') {
		return nil
	}
	for i := 0; ; i++ {
		s.path = append(s.path, strconv.Itoa(i))
		if err := s.value(depth); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.fail("this is not JSON: a comma or ] is expected here")
		}
		s.space()
	}
}

// text reads a string and returns what it says.
func (s *scanner) text() (string, error) {
	s.at++
	start := s.at
	var said []byte // set once an escape makes it differ from the text
	for s.at < len(s.data) {
		switch c := s.data[s.at]; {
		case c == '"':
			plain := s.data[start:s.at]
			s.at++
			return string(append(said, plain...)), nil
		case c == '\\':
			said = append(said, s.data[start:s.at]...)
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			said = utf8.AppendRune(said, r)
			start = s.at
		case c < ' ':
			return "", s.fail("a control character stands in a string: it must be escaped, and U+0000 is not allowed")
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, size := utf8.DecodeRune(s.data[s.at:])
			if r == utf8.RuneError && size == 1 {
				return "", s.fail("this is not valid UTF-8")
			}
			s.at += size
		}
	}
	return "", s.fail("this is not JSON: the string does not end")
}

// escape reads an escape of a string, both halves of a surrogate pair as one.
func (s *scanner) escape() (rune, error) {
	const short = `"\/bfnrt`
	const meant = "\"\\/\b\f\n\r\t"
	rest := s.data[s.at:]
	if len(rest) > 1 {
		if i := strings.IndexByte(short, rest[1]); i >= 0 {
			s.at += 2
			return rune(meant[i]), nil
		}
	}
	r, ok := unicodeEscape(rest)
	if !ok {
		return 0, s.fail(`this is not JSON: \ must be followed by one of "\/bfnrt, or by u and four hexadecimal digits`)
	}
	if r == 0 {
		return 0, s.fail("U+0000 is not allowed")
	}
	if !utf16.IsSurrogate(r) {
		s.at += 6
		return r, nil
	}
	low, _ := unicodeEscape(rest[6:])
	pair := utf16.DecodeRune(r, low)
	if pair == utf8.RuneError {
		return 0, s.fail("this is half of a surrogate pair, which is no character")
	}
	s.at += 12
	return pair, nil
}

// unicodeEscape reads \uXXXX at the beginning of text.
func unicodeEscape(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}

func (s *scanner) number() error {
	start := s.at
	s.take('-')
	if !s.take('0') && s.digits() == 0 {
		return s.fail("this is not JSON: a digit is expected here")
	}
	if s.take('.') && s.digits() == 0 {
		return s.fail("this is not JSON: a digit is expected here")
	}
	exponent := 0
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		from := s.at
		if s.digits() == 0 {
			return s.fail("this is not JSON: a digit is expected here")
		}
		var err error
		if exponent, err = strconv.Atoi(string(s.data[from:s.at])); err != nil {
			exponent = maxNumberExponent + 1
		}
	}
	literal := s.data[start:s.at]
	if s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		return s.fail("this is not JSON: a number must not begin with a needless 0")
	}
	_, err := strconv.ParseFloat(string(literal), 64)
	if err != nil || exponent > maxNumberExponent || len(literal) > maxNumberBytes {
		s.at = start
		return s.fail("the number is too large, too small or too long: at most %d characters, within the range of a double", maxNumberBytes)
	}
	return nil
}

func (s *scanner) word(word string) error {
	if !bytes.HasPrefix(s.data[s.at:], []byte(word)) {
		return s.fail("this is not JSON: did you mean %s?", word)
	}
	s.at += len(word)
	return nil
}

func (s *scanner) digits() int {
	start := s.at
	for s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at - start
}

func (s *scanner) take(c byte) bool {
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// fail makes the error about the place that the scanner has reached.
func (s *scanner) fail(format string, args ...any) error {
	line := 1 + bytes.Count(s.data[:s.at], []byte("\n"))
	begin := 1 + bytes.LastIndexByte(s.data[:s.at], '\n')
	return &carillon.Error{
		Code:    carillon.CodeInvalid,
		Message: "the body is not acceptable JSON",
		Problems: []carillon.Problem{{
			Pointer: pointer(s.path...),
			Detail:  fmt.Sprintf(format, args...),
			Line:    line,
			Column:  1 + utf8.RuneCount(s.data[begin:s.at]),
		}},
	}
}

// maxPointerBytes keeps a pointer to a key of 200 KiB from being one, too.
const maxPointerBytes = 512

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer writes a JSON Pointer (RFC 6901). A very long one is cut.
func pointer(path ...string) string {
	var b strings.Builder
	for _, step := range path {
		b.WriteByte('/')
		b.WriteString(pointerEscapes.Replace(step))
	}
	return carillon.Clip(b.String(), maxPointerBytes)
}

// members splits a JSON object that [checkJSON] accepted.
func members(object json.RawMessage) (map[string]json.RawMessage, bool) {
	var m map[string]json.RawMessage
	err := json.Unmarshal(object, &m)
	return m, err == nil && m != nil
}
