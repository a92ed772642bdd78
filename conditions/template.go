package conditions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"

	"github.com/carillon-dev/carillon"
)

// Limits of a template. Each expression has those of a condition, too.
const (
	// MaxTemplateBytes is the longest template.
	MaxTemplateBytes = 32 << 10
	// MaxExpressions is the most expressions in one template.
	MaxExpressions = 100
	// maxTemplateNodes bounds the syntax trees of a template together: compiled
	// templates are kept in memory.
	maxTemplateNodes = 2000
	// maxTemplateCost is for all expressions together, in the units of a
	// condition's.
	maxTemplateCost = 100_000
	// renderTimeLimit is a backstop behind the cost limit, as for conditions.
	renderTimeLimit = 5 * time.Second
)

// Template is a compiled template. It is safe for concurrent use.
type Template struct {
	parts []part
	// page is set for HTML, in the place of parts.
	page *page
}

// part is text as it is written or, where expression is set, what that makes.
type part struct {
	text       string
	expression *expression
	// alone says that the value is all that stands at its place in a JSON
	// document, and keeps its type; else it is inside of a string.
	alone bool
	// mode is how the value is escaped, unless escape is set.
	mode   Mode
	escape func(string) string
	// page is set for a string of HTML in a JSON document, which stands within
	// its quotes.
	page *page
}

// expression is one ${…}.
type expression struct {
	program cel.Program
	tree    *ast.AST
	// path is set when it is nothing but a field of data, such as data.size: the
	// value is then written as it was published, with all digits; so is that of
	// string(data.size), which asText says.
	path   []string
	asText bool
	at     locator
}

// locator says where in the template a place of an expression is.
type locator func(line, column int) carillon.Problem

// RenderError says why a template cannot be written for an event: a value of
// another type than the expression needs, a limit.
type RenderError struct {
	// Problem's Pointer is from the root of a JSON template; Detail is at most
	// [carillon.MaxErrorBytes] long. It can name keys of the event's data, and
	// quote short values.
	Problem carillon.Problem
}

func (e *RenderError) Error() string {
	var at []string
	if e.Problem.Pointer != "" {
		at = append(at, e.Problem.Pointer)
	}
	if e.Problem.Line > 0 {
		at = append(at, fmt.Sprintf("line %d, column %d", e.Problem.Line, e.Problem.Column))
	}
	if len(at) == 0 {
		return e.Problem.Detail
	}
	return strings.Join(at, ", ") + ": " + e.Problem.Detail
}

// Render writes the template for an event. A [*RenderError] means that it never
// can be; the only other error is that of ctx.
func (t *Template) Render(ctx context.Context, in *Input) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("render template: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, renderTimeLimit)
	defer cancel()
	out := &output{}
	var err error
	if t.page != nil {
		err = t.page.write(limited, in, out, new(uint64))
	} else {
		err = t.render(limited, in, out)
	}
	switch {
	case err == nil:
		return out.Bytes(), nil
	case errors.Is(err, interpreter.InterruptError{}) && ctx.Err() != nil:
		return nil, fmt.Errorf("render template: %w", ctx.Err())
	}
	if failed, ok := errors.AsType[*RenderError](err); ok {
		return nil, failed
	}
	return nil, &RenderError{Problem: carillon.Problem{Detail: carillon.Clip(err.Error(), maxReasonBytes)}}
}

func (t *Template) render(ctx context.Context, in *Input, out *output) error {
	var spent uint64
	for _, p := range t.parts {
		if p.page != nil {
			var inner output
			if err := p.page.write(ctx, in, &inner, &spent); err != nil {
				return err
			}
			if err := out.text(unquoted(inner.String())); err != nil {
				return err
			}
			continue
		}
		if p.expression == nil {
			if err := out.text(p.text); err != nil {
				return err
			}
			continue
		}
		value, err := p.expression.value(ctx, in, &spent)
		if err != nil {
			return err
		}
		if err := p.write(out, value); err != nil {
			return p.expression.fail(err)
		}
	}
	return nil
}

// write writes a value where it stands.
func (p part) write(out *output, value any) error {
	escape := escapes[p.mode]
	if p.escape != nil {
		escape = p.escape
	}
	if p.mode.json() && p.alone {
		return out.json(value, escape)
	}
	text, err := escapedText(value, p.mode, escape)
	if err != nil {
		return err
	}
	if p.mode.json() {
		text = unquoted(text)
	}
	return out.text(text)
}

// escapedText is a value within a text: of a list, the elements, each on a line
// of its own where there are lines.
func escapedText(value any, mode Mode, escape func(string) string) (string, error) {
	between := ", "
	if slices.Contains([]Mode{Text, Slack, Markdown, HTML, XML}, mode) {
		between = "\n"
	}
	if escape == nil {
		escape = func(s string) string { return s }
	}
	if elements, ok := value.(traits.Lister); ok {
		return joined(elements, between, escape)
	}
	text, err := plainText(value)
	if err == nil && len(text) > MaxRenderedBytes {
		err = errTooLarge
	}
	if err != nil {
		return "", err
	}
	return escape(text), nil
}

// value evaluates the expression; spent counts the cost of all expressions.
func (e *expression) value(ctx context.Context, in *Input, spent *uint64) (any, error) {
	if number, ok := e.published(in.data); ok {
		return number, nil
	}
	value, details, err := e.program.ContextEval(ctx, in)
	if details != nil && details.ActualCost() != nil {
		*spent += *details.ActualCost()
	}
	if err != nil {
		return nil, e.fail(err)
	}
	if *spent > maxTemplateCost {
		return nil, e.fail(errTooExpensive)
	}
	return value, nil
}

var errTooExpensive = errors.New("the template is too expensive for this event")

// published returns the value of the expression's path where that is a number.
func (e *expression) published(data map[string]any) (any, bool) {
	var value any = data
	for _, name := range e.path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		value = object[name]
	}
	number, ok := value.(json.Number)
	if ok && e.asText {
		return types.String(number), true
	}
	return number, ok
}

// fail writes an evaluation's error for people.
func (e *expression) fail(err error) error {
	if interrupted(err) {
		return err
	}
	var canceled interpreter.EvalCancelledError
	if errors.As(err, &canceled) && canceled.Cause == interpreter.CostLimitExceeded {
		err = errTooExpensive
	}
	line, column := 1, 1
	var failed *types.Err
	if errors.As(err, &failed) && failed.NodeID() > 0 {
		line, column = place(e.tree.SourceInfo().GetStartLocation(failed.NodeID()))
	}
	problem := e.at(line, column)
	problem.Detail = carillon.Clip(err.Error(), maxReasonBytes)
	return &RenderError{Problem: problem}
}

// pathOf returns the names of an expression such as data.metadata.size or
// data['size'], alone or in string(…).
func pathOf(e ast.Expr) (names []string, asText bool) {
	for e.Kind() == ast.CallKind && !asText &&
		(e.AsCall().FunctionName() == functionAbsent || e.AsCall().FunctionName() == overloads.TypeConvertString) {
		asText = e.AsCall().FunctionName() == overloads.TypeConvertString
		e = e.AsCall().Args()[0]
	}
	if asText && e.Kind() == ast.CallKind && e.AsCall().FunctionName() == functionAbsent {
		e = e.AsCall().Args()[0]
	}
	for {
		switch {
		case e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly():
			names = append([]string{e.AsSelect().FieldName()}, names...)
			e = e.AsSelect().Operand()
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index:
			key, ok := literal(e.AsCall().Args()[1])
			if !ok {
				return nil, false
			}
			names = append([]string{key}, names...)
			e = e.AsCall().Args()[0]
		case e.Kind() == ast.IdentKind && e.AsIdent() == "data":
			return names, asText
		default:
			return nil, false
		}
	}
}
