package messages

import (
	"context"
	"regexp"
	"strings"

	"github.com/carillon-dev/carillon/conditions"
)

var (
	// anExpression finds the expressions of the embedded templates, which have no
	// braces of their own.
	anExpression = regexp.MustCompile(`\$\{[^}]*\}`)
	// aField is a template that is nothing but a field of data.
	aField = regexp.MustCompile(`^\$\{data\.([a-z_.]+)\}$`)
)

// piece is a stretch of a default message: a text, or a template.
type piece struct {
	text string
	// without is the text with nothing in the place of its expressions.
	without string
	// field is set for a template that is nothing but a field of data. It is then
	// written as people read it, whatever its type: no braces and quotes.
	field []string
	// template is set for every other one with expressions.
	template *conditions.Template
}

func newPiece(text string, compile func(conditions.Source, []string) (*conditions.Template, error)) (piece, error) {
	p := piece{text: text, without: oneLine(anExpression.ReplaceAllString(text, ""))}
	if !strings.Contains(text, "${") {
		return p, nil
	}
	if found := aField.FindStringSubmatch(text); found != nil {
		p.field = strings.Split(found[1], ".")
		return p, nil
	}
	var err error
	p.template, err = compile(conditions.Source{Text: text, Mode: conditions.Text}, nil)
	return p, err
}

// write writes the piece on one line; nothing when its expressions have no
// values, or cannot be written for this event.
func (p piece) write(v *values) string {
	var written string
	switch {
	case p.field != nil:
		return plain(v.at(p.field))
	case p.template == nil:
		return p.text
	default:
		text, err := v.render(p.template)
		if err != nil {
			return ""
		}
		written = oneLine(text)
	}
	if written == p.without {
		return ""
	}
	return written
}

// writeTitle writes pieces as one line; nothing when the first one is empty.
func writeTitle(pieces []piece, v *values) string {
	var written []string
	for i, p := range pieces {
		text := p.write(v)
		if text == "" && i == 0 {
			return ""
		}
		if text != "" {
			written = append(written, text)
		}
	}
	return strings.Join(written, " ")
}

// writeLines writes each piece on a line of its own.
func writeLines(pieces []piece, v *values) string {
	var written []string
	for _, p := range pieces {
		text := p.write(v)
		if text != "" {
			written = append(written, text)
		}
	}
	return strings.Join(written, "\n")
}

// first writes the first value that is not empty.
func (l labelled) first(v *values) string {
	for _, p := range l.values {
		if text := p.write(v); text != "" {
			return text
		}
	}
	return ""
}

// values are what an event has to be told of.
type values struct {
	// data is the event's, nil when it is no object.
	data map[string]any
	// input is nil when the event is none that a template can read.
	input *conditions.Input
	err   error
}

func (v *values) render(t *conditions.Template) (string, error) {
	if v.input == nil {
		return "", v.err
	}
	text, err := t.Render(context.Background(), v.input)
	return string(text), err
}

// at returns the field of the data.
func (v *values) at(path []string) any {
	var value any = v.data
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}

// textAt returns the field as people read it.
func (v *values) textAt(name string) string { return plain(v.data[name]) }
