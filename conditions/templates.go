package conditions

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// maxKept is how many compiled templates are kept for the next delivery.
const maxKept = 128

// Templates compiles templates: JSON or text with ${…} in it. It is safe for
// concurrent use.
type Templates struct {
	env   *Environment
	types []eventType
	kept  *lru.Cache[string, *Template]
	urls  *lru.Cache[string, *URLTemplate]
}

// LoadTemplates returns the templates' environment, one for the process.
var LoadTemplates = sync.OnceValues(func() (*Templates, error) {
	types, err := catalog.Load()
	if err != nil {
		return nil, err
	}
	return NewTemplates(types)
})

// NewTemplates makes an environment whose templates know the fields of the
// catalog's event types.
func NewTemplates(types *catalog.Catalog) (*Templates, error) {
	env, err := newEnv(templateOptions()...)
	if err != nil {
		return nil, err
	}
	t := &Templates{env: &Environment{env: env, templates: true}}
	for _, known := range types.Types() {
		e := eventType{Type: known, data: &schema{}}
		if err := json.Unmarshal(known.Schema, e.data); err != nil {
			return nil, fmt.Errorf("read the schema of %s: %w", known.Name, err)
		}
		t.types = append(t.types, e)
	}
	if t.kept, err = lru.New[string, *Template](maxKept); err != nil {
		return nil, fmt.Errorf("make the template cache: %w", err)
	}
	if t.urls, err = lru.New[string, *URLTemplate](maxKept); err != nil {
		return nil, fmt.Errorf("make the template cache: %w", err)
	}
	return t, nil
}

// Source is a template as it was written.
type Source struct {
	// Text is the template: of a JSON mode, a JSON document.
	Text string
	// Mode says what it writes.
	Mode Mode
	// Value says that the document was given as JSON, not as a text: places in
	// it are then a pointer and, in the string there, a line and a column.
	Value bool
}

// Compile reads a template, and checks the types of its expressions and, for
// each type of the catalog that the patterns name, that events of it have the
// fields that it uses. What is wrong is a [carillon.Error] of
// [carillon.CodeInvalid] with up to ten Problems, each with a line and a
// column, in characters from 1. Pointers are from the root of the document.
func (t *Templates) Compile(s Source, patterns []string) (compiled *Template, err error) {
	defer func() {
		// As in [Environment.Compile].
		if recovered := recover(); recovered != nil {
			compiled = nil
			err = templateError(carillon.Problem{Detail: "this template cannot be compiled", Line: 1, Column: 1})
		}
	}()
	c := &compiler{env: t.env, source: s, types: t.named(patterns)}
	switch {
	case len(s.Text) > MaxTemplateBytes:
		c.wrongAt(0, "the template has %d bytes; at most %d are allowed", len(s.Text), MaxTemplateBytes)
	case !utf8.ValidString(s.Text):
		c.wrongAt(0, "the template is not valid UTF-8")
	case strings.ContainsRune(s.Text, 0):
		c.wrongAt(strings.IndexByte(s.Text, 0), "the template holds the character U+0000")
	case s.Mode.json():
		c.document()
	default:
		c.text(s.Text, func(offset int) carillon.Problem { return c.at(offset) }, false)
	}
	c.settle()
	if s.Mode == XML {
		c.checkXML()
	}
	result := &Template{parts: c.parts}
	if len(c.problems) == 0 && s.Mode == HTML {
		result.page = c.page(c.parts, func(line int) carillon.Problem { return carillon.Problem{Line: line, Column: 1} })
	}
	if len(c.problems) > 0 {
		return nil, templateError(c.problems[:min(len(c.problems), maxProblems)]...)
	}
	return result, nil
}

// Kept returns the compiled template of a source that was checked before. The
// last ones are kept, so that a delivery need not compile.
func (t *Templates) Kept(s Source) (*Template, error) {
	key := fmt.Sprintf("%s %t %s", s.Mode, s.Value, s.Text)
	if kept, ok := t.kept.Get(key); ok {
		return kept, nil
	}
	compiled, err := t.Compile(s, nil)
	if err != nil {
		return nil, err
	}
	t.kept.Add(key, compiled)
	return compiled, nil
}

// named returns the types that one of the patterns names.
func (t *Templates) named(patterns []string) []eventType {
	var named []eventType
	for _, known := range t.types {
		if slices.ContainsFunc(patterns, func(p string) bool { return carillon.MatchesType(p, known.Name) }) {
			named = append(named, known)
		}
	}
	return named
}

func templateError(problems ...carillon.Problem) *carillon.Error {
	return &carillon.Error{Code: carillon.CodeInvalid, Message: "the template does not compile", Problems: problems}
}

// compiler gathers the parts of one template and all that is wrong with it.
type compiler struct {
	env      *Environment
	source   Source
	types    []eventType
	parts    []part
	problems []carillon.Problem
	// written is the literal text that is no part yet.
	written strings.Builder
	// expressions and nodes count towards their limits.
	expressions, nodes int
}

// at is a place in the text of the template.
func (c *compiler) at(offset int) carillon.Problem {
	line, column := lineAndColumn(c.source.Text, offset)
	return carillon.Problem{Line: line, Column: column}
}

func (c *compiler) wrongAt(offset int, format string, args ...any) {
	c.wrong(c.at(offset), format, args...)
}

func (c *compiler) wrong(at carillon.Problem, format string, args ...any) {
	at.Detail = carillon.Clip(fmt.Sprintf(format, args...), maxDetailBytes)
	c.problems = append(c.problems, at)
}

// lineAndColumn returns the place of a byte, in characters from 1.
func lineAndColumn(text string, offset int) (line, column int) {
	before := text[:min(offset, len(text))]
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}

// literal adds text as it is written.
func (c *compiler) literal(text string) { c.written.WriteString(text) }

// add adds a part that is no literal text.
func (c *compiler) add(p part) {
	c.settle()
	c.parts = append(c.parts, p)
}

// settle makes a part of the literal text.
func (c *compiler) settle() {
	if c.written.Len() > 0 {
		c.parts = append(c.parts, part{text: c.written.String()})
		c.written.Reset()
	}
}

// text adds a text with expressions in it; at finds the place of a byte of it.
// In a JSON document it is a string, which is written with its quotes unless it
// is a single expression.
func (c *compiler) text(text string, at func(offset int) carillon.Problem, inJSON bool) {
	pieces, ok := split(text)
	if !ok {
		open := pieces[len(pieces)-1]
		c.wrong(at(open.offset-len(opening)), "this ${ has no } that closes it; a literal one is written $${")
		return
	}
	alone := inJSON && len(pieces) == 1 && pieces[0].expression
	if inJSON && !alone {
		c.literal(`"`)
	}
	if inJSON && !alone && c.source.Mode == JSONHTML {
		c.settle() // keeps the literals before and within apart
	}
	before := len(c.parts)
	var link slackLink
	for i, p := range pieces {
		switch {
		case p.expression:
			locate := func(line, column int) carillon.Problem {
				return at(p.offset + offsetOf(p.text, line, column))
			}
			var escape func(string) string
			if c.source.Mode == Slack || c.source.Mode == JSONSlack {
				var ok bool
				if escape, ok = link.value(); !ok {
					c.wrong(at(p.offset-len(opening)), "${…} can stand in a link of Slack's, <https://…|…>, not after \"<%s\": write a mention out, and a plain < as &lt;", link.literal)
				}
			} else if c.source.Mode == Markdown && i > 0 {
				escape = inMarkdown(pieces[i-1].text)
			}
			if e := c.expression(p.text, locate); e != nil {
				c.add(part{expression: e, alone: alone, mode: c.source.Mode, escape: escape})
			}
		case inJSON && c.source.Mode != JSONHTML:
			link.text(p.text)
			c.literal(unquoted(p.text))
		default:
			link.text(p.text)
			c.literal(p.text)
		}
	}
	if inJSON && !alone && c.source.Mode == JSONHTML {
		c.htmlString(before, func(line int) carillon.Problem { return at(offsetOf(text, line, 1)) })
	}
	if inJSON && !alone {
		c.literal(`"`)
	}
}

// expression compiles the inside of one ${…}; nil when something is wrong.
func (c *compiler) expression(text string, at locator) *expression {
	fail := func(problems ...carillon.Problem) *expression {
		for _, p := range problems {
			located := at(p.Line, p.Column)
			located.Detail = p.Detail
			c.problems = append(c.problems, located)
		}
		return nil
	}
	if len(c.problems) >= maxProblems {
		return nil // no more are told
	}
	if c.expressions++; c.expressions > MaxExpressions {
		if c.expressions == MaxExpressions+1 {
			fail(carillon.Problem{Detail: fmt.Sprintf("the template has more than %d expressions", MaxExpressions), Line: 1, Column: 1})
		}
		return nil
	}
	if strings.TrimSpace(text) == "" {
		return fail(carillon.Problem{Detail: "there is no expression between ${ and }", Line: 1, Column: 1})
	}
	checked, problems := c.env.check(text, markAbsent)
	if len(problems) > 0 {
		return fail(problems...)
	}
	tree := checked.NativeRep()
	if problems := checkFields(tree, c.types); len(problems) > 0 {
		return fail(problems...)
	}
	if !writable(checked.OutputType()) {
		return fail(carillon.Problem{Detail: fmt.Sprintf("a value of type %s cannot be written", checked.OutputType()), Line: 1, Column: 1})
	}
	c.nodes += len(ast.MatchDescendants(ast.NavigateAST(tree), ast.AllMatcher()))
	if c.nodes > maxTemplateNodes {
		return fail(carillon.Problem{Detail: fmt.Sprintf("the template's expressions have more than %d nodes together", maxTemplateNodes), Line: 1, Column: 1})
	}
	program, err := c.env.env.Program(checked, append(programOptions(tree), cel.CustomDecoratorV2(keepOrder))...)
	if err != nil {
		return fail(carillon.Problem{Detail: err.Error(), Line: 1, Column: 1})
	}
	path, asText := pathOf(tree.Expr())
	return &expression{program: program, tree: tree, path: path, asText: asText, at: at}
}
