package conditions

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/carillon-dev/carillon"
)

// document adds a JSON template.
func (c *compiler) document() {
	if err := json.Unmarshal([]byte(c.source.Text), new(json.RawMessage)); err != nil {
		offset, detail := len(c.source.Text), "the template ends too early"
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok && int(syntax.Offset) <= len(c.source.Text) &&
			!strings.Contains(syntax.Error(), "unexpected end") {
			// The offset is behind the byte that is wrong.
			offset, detail = max(int(syntax.Offset)-1, 0), "the template is not JSON: "+syntax.Error()
			if strings.HasPrefix(c.source.Text[offset:], "$") {
				detail = `the template is not JSON; an expression stands in quotes: "${…}"`
			}
		}
		c.wrongAt(offset, "%s", detail)
		return
	}
	decoder := json.NewDecoder(strings.NewReader(c.source.Text))
	decoder.UseNumber()
	(&documentReader{compiler: c, decoder: decoder}).value("", 0)
}

// documentReader goes through a JSON template, which is known to be JSON, and
// adds its parts in order.
type documentReader struct {
	*compiler
	decoder *json.Decoder
}

// token returns the next token and where it begins.
func (r *documentReader) token() (json.Token, int) {
	offset := int(r.decoder.InputOffset())
	offset += len(r.source.Text[offset:]) - len(strings.TrimLeft(r.source.Text[offset:], " \t\r\n,:"))
	token, err := r.decoder.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		r.wrongAt(offset, "the template is not JSON")
	}
	return token, offset
}

func (r *documentReader) value(pointer string, depth int) {
	token, offset := r.token()
	if depth > carillon.MaxJSONDepth {
		r.wrong(r.in(pointer, offset), "the template is nested deeper than %d levels", carillon.MaxJSONDepth)
		return
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			r.object(pointer, depth)
		} else {
			r.list(pointer, depth)
		}
	case string:
		r.text(v, func(at int) carillon.Problem { return r.inString(pointer, v, offset, at) }, true)
	case json.Number:
		r.literal(v.String())
	case bool:
		r.literal(map[bool]string{true: "true", false: "false"}[v])
	default:
		r.literal("null")
	}
}

// pointerToken escapes a key for a JSON pointer.
var pointerToken = strings.NewReplacer("~", "~0", "/", "~1")

func (r *documentReader) object(pointer string, depth int) {
	r.literal("{")
	seen := map[string]bool{}
	for first := true; r.decoder.More() && len(r.problems) < maxProblems; first = false {
		token, offset := r.token()
		key, _ := token.(string)
		at := pointer + "/" + pointerToken.Replace(key)
		pieces, _ := split(key)
		switch {
		case seen[key]:
			r.wrong(r.in(at, offset), "the key %q is there twice", key)
		case len(pieces) > 0 && pieces[len(pieces)-1].expression || len(pieces) > 1:
			r.wrong(r.inString(at, key, offset, strings.Index(key, opening)), "a key cannot hold ${…}: no value can make one")
		}
		seen[key] = true
		if !first {
			r.literal(",")
		}
		r.literal(quote(strings.ReplaceAll(key, escaped, opening)) + ":")
		r.value(at, depth+1)
	}
	r.token()
	r.literal("}")
}

func (r *documentReader) list(pointer string, depth int) {
	r.literal("[")
	for i := 0; r.decoder.More() && len(r.problems) < maxProblems; i++ {
		if i > 0 {
			r.literal(",")
		}
		r.value(pointer+"/"+strconv.Itoa(i), depth+1)
	}
	r.token()
	r.literal("]")
}

// in is the place of a token that begins at a byte.
func (r *documentReader) in(pointer string, offset int) carillon.Problem {
	if r.source.Value {
		return carillon.Problem{Pointer: pointer, Line: 1, Column: 1}
	}
	return r.at(offset)
}

// inString is the place of a byte of a string that begins at an offset.
func (r *documentReader) inString(pointer, text string, offset, at int) carillon.Problem {
	if !r.source.Value {
		return r.at(rawOffset(r.source.Text, offset, at))
	}
	line, column := lineAndColumn(text, at)
	return carillon.Problem{Pointer: pointer, Line: line, Column: column}
}

// rawOffset returns where a byte of a string is in the JSON text in which the
// string, with its escapes, begins at an offset.
func rawOffset(text string, offset, at int) int {
	offset++ // the quote
	for decoded := 0; decoded < at && offset < len(text) && text[offset] != '"'; {
		if text[offset] != '\\' {
			decoded++
			offset++
			continue
		}
		size := len(`\n`)
		if strings.HasPrefix(text[offset:], `\u`) {
			size = len(`\u0000`)
			if high := text[offset+2 : offset+4]; high[0]|0x20 == 'd' && strings.ContainsAny(high[1:], "89abAB") {
				size *= 2
			}
		}
		size = min(size, len(text)-offset)
		var character string
		_ = json.Unmarshal([]byte(`"`+text[offset:offset+size]+`"`), &character)
		decoded += max(len(character), 1)
		offset += size
	}
	return offset
}
