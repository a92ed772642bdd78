package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// Unconverted is a piece of an OtterScript text that has no counterpart in a
// template.
type Unconverted struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
	Why    string `json:"why"`
}

// ImportedTemplate is what became of the content of a ProGet webhook: options
// of the format custom, and what of the content is not in them.
type ImportedTemplate struct {
	Content     json.RawMessage `json:"content"`
	ContentType string          `json:"content_type"`
	Unconverted []Unconverted   `json:"unconverted"`
}

const (
	// maxOtterScriptBytes is far above any content that fits a notifier's form.
	maxOtterScriptBytes = 16 << 10
	// maxUnconverted is as many pieces as anybody reads about.
	maxUnconverted = 100
)

// ImportProGet converts the content of a ProGet webhook, OtterScript with $Var,
// $ToJson(%(…)), foreach and if, into a template. What cannot be converted is
// left out of it, or left as it is where it stands in a text, and reported.
func ImportProGet(content, contentType string) (ImportedTemplate, error) {
	if len(content) > maxOtterScriptBytes || !utf8.ValidString(content) {
		return ImportedTemplate{}, carillon.Invalid("/content", "may have at most %d bytes of UTF-8", maxOtterScriptBytes)
	}
	o := &otter{source: content, json: contentType == "" || strings.Contains(contentType, "json")}
	result := ImportedTemplate{ContentType: contentType, Unconverted: []Unconverted{}}
	if contentType == "" {
		result.ContentType = jsonType
	}
	o.space()
	if strings.HasPrefix(o.rest(), "$ToJson(") {
		o.at += len("$ToJson(")
		value := o.value()
		o.space()
		if o.take(")") {
			o.space()
		}
		if o.rest() != "" {
			o.report(o.at, o.rest(), "nothing can follow the document that $ToJson writes")
		}
		result.Content = value
	} else {
		o.at = 0
		text := o.text()
		result.Content = json.RawMessage(jsonString(text))
		if contentType == "" && !strings.HasPrefix(strings.TrimSpace(content), "{") && !strings.HasPrefix(strings.TrimSpace(content), "[") {
			result.ContentType = textType
		}
	}
	result.Unconverted = append(result.Unconverted, o.unconverted...)
	result.check()
	return result, nil
}

// ImportProGetPredicate converts an expression of ProGet's "Advanced" conditions
// into one of a condition's. It is empty where something cannot be converted.
func ImportProGetPredicate(text string) (expression string, unconverted []Unconverted) {
	if len(text) > maxOtterScriptBytes || !utf8.ValidString(text) {
		return "", []Unconverted{{Line: 1, Column: 1, Why: "it is too long, or no UTF-8"}}
	}
	o := &otter{source: text + "{"} // a block would begin there
	expression = o.predicate()
	if len(o.unconverted) == 0 && (expression == "" || o.at != len(text)) {
		o.report(min(o.at, len(text)), text, "this predicate is not understood")
	}
	if len(o.unconverted) > 0 {
		return "", o.unconverted
	}
	return expression, nil
}

// check says what of the result does not compile: a piece that was left as it
// is, for example, of a document.
func (t *ImportedTemplate) check() {
	options, err := json.Marshal(customOptions{Content: t.Content, ContentType: t.ContentType})
	if err == nil {
		_, err = custom{}.Prepare(options, nil)
	}
	found, ok := errors.AsType[*carillon.Error](err)
	if !ok {
		return
	}
	for _, p := range found.Problems {
		t.Unconverted = append(t.Unconverted, Unconverted{
			Line: max(p.Line, 1), Column: max(p.Column, 1), Text: strings.TrimPrefix(p.Pointer, optionsPointer),
			Why: "the converted template does not compile here: " + p.Detail,
		})
	}
}

// otter reads OtterScript.
type otter struct {
	source string
	at     int
	json   bool
	// depth is that of the value within the document.
	depth int
	// variables are those of the loops around.
	variables   map[string]map[string]string
	unconverted []Unconverted
}

func (o *otter) rest() string { return o.source[o.at:] }

func (o *otter) space() {
	o.at += len(o.rest()) - len(strings.TrimLeft(o.rest(), " \t\r\n"))
}

func (o *otter) take(text string) bool {
	if !strings.HasPrefix(o.rest(), text) {
		return false
	}
	o.at += len(text)
	return true
}

func (o *otter) report(at int, text, why string, args ...any) {
	switch len(o.unconverted) {
	case maxUnconverted - 1:
		why, args = "this piece and others after it are not converted", nil
	case maxUnconverted:
		return
	}
	before := o.source[:at]
	o.unconverted = append(o.unconverted, Unconverted{
		Line:   strings.Count(before, "\n") + 1,
		Column: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1,
		Text:   carillon.Clip(strings.TrimSpace(text), maxContentTypeBytes), Why: fmt.Sprintf(why, args...),
	})
}

// value reads a value within $ToJson: a map, a list, a variable or a text.
func (o *otter) value() json.RawMessage {
	o.space()
	if o.depth > carillon.MaxJSONDepth {
		o.report(o.at, o.rest(), "a document is nested at most %d levels deep", carillon.MaxJSONDepth)
		o.at = len(o.source)
		return json.RawMessage(`""`)
	}
	o.depth++
	defer func() { o.depth-- }()
	switch {
	case o.take("%("):
		return o.object()
	case o.take("@("):
		return o.list()
	default:
		return o.scalar(",)")
	}
}

func (o *otter) object() json.RawMessage {
	var out bytes.Buffer
	out.WriteByte('{')
	for {
		o.space()
		if o.take(")") || o.rest() == "" {
			break
		}
		at := o.at
		name, _, ok := strings.Cut(o.rest(), ":")
		if !ok || strings.ContainsAny(name, ",()") {
			o.report(at, o.rest(), "a key and a colon are expected here")
			o.at = len(o.source)
			break
		}
		o.at += len(name) + 1
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		out.WriteString(jsonString(literalText(strings.Trim(strings.TrimSpace(name), `"'`))) + ":")
		out.Write(o.value())
		o.space()
		o.take(",")
	}
	out.WriteByte('}')
	return out.Bytes()
}

func (o *otter) list() json.RawMessage {
	var out bytes.Buffer
	out.WriteByte('[')
	for {
		o.space()
		if o.take(")") || o.rest() == "" {
			break
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		out.Write(o.value())
		o.space()
		o.take(",")
	}
	out.WriteByte(']')
	return out.Bytes()
}

// scalar reads a text, quoted or up to one of the characters that end it, with
// variables in it.
func (o *otter) scalar(end string) json.RawMessage {
	pieces := o.pieces(end)
	if len(pieces) == 0 {
		return json.RawMessage(`""`)
	}
	var text strings.Builder
	for _, p := range pieces {
		text.WriteString(p.template())
	}
	return json.RawMessage(jsonString(text.String()))
}

// fragment is a stretch of text or an expression of a template.
type fragment struct {
	text string
	expr string
}

func (f fragment) template() string {
	if f.expr != "" {
		return "${" + f.expr + "}"
	}
	return literalText(f.text)
}

// cel writes the fragment within an expression.
func (f fragment) cel() string {
	if f.expr != "" {
		return f.expr
	}
	return celString(f.text)
}

// literalText writes text that is none of the template's own.
func literalText(text string) string { return strings.ReplaceAll(text, "${", "$${") }

func celString(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text) + "'"
}

func jsonString(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err) // a string can always be written
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// pieces reads a value up to one of the characters that end it.
func (o *otter) pieces(end string) []fragment {
	o.space()
	quote := byte(0)
	if rest := o.rest(); rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		quote = rest[0]
		o.at++
	}
	var found []fragment
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			found = append(found, fragment{text: text.String()})
			text.Reset()
		}
	}
	for o.rest() != "" {
		c := o.rest()[0]
		if quote != 0 && c == quote {
			o.at++
			break
		}
		if quote == 0 && strings.IndexByte(end, c) >= 0 {
			break
		}
		if plain, ok := o.escape(); ok {
			text.WriteString(plain)
			continue
		}
		if expr, ok := o.variable(); ok {
			flush()
			if expr != "" {
				found = append(found, fragment{expr: expr})
			}
			continue
		}
		text.WriteByte(c)
		o.at++
	}
	if quote == 0 {
		trimmed := strings.TrimRight(text.String(), " \t\r\n")
		text.Reset()
		text.WriteString(trimmed)
	}
	flush()
	return found
}

// escape reads a backtick and what it stands before.
func (o *otter) escape() (string, bool) {
	rest := o.rest()
	if len(rest) < 2 || rest[0] != '`' {
		return "", false
	}
	o.at += 2
	switch rest[1] {
	case 'r':
		return "\r", true
	case 'n':
		return "\n", true
	case 't':
		return "\t", true
	default:
		return rest[1:2], true
	}
}

// eventNames is an expression for what ProGet calls the event's type.
func eventNames() string {
	var names []string
	for _, t := range catalog.ProductTypes(catalog.ProGet) {
		names = append(names, celString(t.Type)+": "+celString(t.Name))
	}
	return "{" + strings.Join(names, ", ") + "}[type]"
}
