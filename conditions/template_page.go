package conditions

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
)

// page is a template of HTML, in which the n-th expression is ".n".
type page struct {
	template    *template.Template
	expressions []*expression
}

// write has html/template write the values, which escapes each for where it
// stands: text, attribute, URL, script or style. spent is as for a value.
func (p *page) write(ctx context.Context, in *Input, out *output, spent *uint64) error {
	values := make([]string, len(p.expressions))
	size := 0
	for i, e := range p.expressions {
		value, err := e.value(ctx, in, spent)
		if err != nil {
			return err
		}
		if values[i], err = escapedText(value, HTML, nil); err != nil {
			return e.fail(err)
		}
		if size += len(values[i]); size > MaxRenderedBytes {
			return e.fail(errTooLarge)
		}
	}
	err := p.template.Execute(limitedWriter{out}, values)
	if errors.Is(err, errTooLarge) {
		return errTooLarge
	}
	return err
}

type limitedWriter struct{ out *output }

func (w limitedWriter) Write(b []byte) (int, error) { return len(b), w.out.text(string(b)) }

// htmlString makes the parts of a string of a JSON document, from one on, a page
// of their own, or literal text when there are no expressions.
func (c *compiler) htmlString(from int, at func(line int) carillon.Problem) {
	if len(c.problems) > 0 {
		return
	}
	c.settle()
	parts := c.parts[from:]
	c.parts = c.parts[:from:from]
	if !slices.ContainsFunc(parts, func(p part) bool { return p.expression != nil }) {
		for _, p := range parts {
			c.literal(unquoted(p.text))
		}
		return
	}
	if made := c.page(parts, at); made != nil {
		c.add(part{page: made})
	}
}

// Delimiters of the actions that stand for expressions in a page: characters
// that no page has.
const (
	leftDelimiter  = "\x01"
	rightDelimiter = "\x02"
)

// page makes a template of html/template, which knows where each value stands;
// at is the place of a line.
func (c *compiler) page(parts []part, at func(line int) carillon.Problem) *page {
	var text strings.Builder
	made := &page{}
	for _, p := range parts {
		if p.expression == nil {
			if i := strings.IndexAny(p.text, leftDelimiter+rightDelimiter); i >= 0 {
				c.wrong(at(1), "the template holds a control character")
				return nil
			}
			text.WriteString(p.text)
			continue
		}
		fmt.Fprintf(&text, "%sindex . %d%s", leftDelimiter, len(made.expressions), rightDelimiter)
		made.expressions = append(made.expressions, p.expression)
	}
	var err error
	made.template, err = template.New("template").Delims(leftDelimiter, rightDelimiter).Parse(text.String())
	if err == nil {
		// The first execution finds places in which no value can be safe.
		err = made.template.Execute(limitedWriter{&output{}}, make([]string, len(made.expressions)))
	}
	if err != nil {
		line, detail := 1, err.Error()
		if unsafe, ok := errors.AsType[*template.Error](err); ok {
			line, detail = max(unsafe.Line, 1), unsafe.Description
		}
		c.wrong(at(line), "a value cannot stand here in HTML: %s", detail)
		return nil
	}
	return made
}
