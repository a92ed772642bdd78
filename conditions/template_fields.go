package conditions

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// schema is what the names of fields are read from in a JSON Schema.
type schema struct {
	Ref                 string             `json:"$ref"`
	Definitions         map[string]*schema `json:"$defs"`
	Properties          map[string]*schema `json:"properties"`
	Items               *schema            `json:"items"`
	AllOf, AnyOf, OneOf []*schema
	Type                json.RawMessage `json:"type"`
	Additional          json.RawMessage `json:"additionalProperties"`
}

// UnmarshalJSON takes true and false, which are schemas too.
func (s *schema) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] != '{' {
		return nil
	}
	type plain schema
	return json.Unmarshal(data, (*plain)(s))
}

// eventType is a type of the catalog with the fields of its data.
type eventType struct {
	catalog.Type
	data *schema
}

// maxReferences ends schemas that refer to themselves.
const maxReferences = 20

// origin is where in an event a value comes from: the schemas that describe it,
// none when nothing is known.
type origin []*schema

// fields returns the fields of the values of an origin, and whether they can have
// others.
func (t eventType) fields(p origin) (known map[string]origin, open bool) {
	known = map[string]origin{}
	if len(p) == 0 {
		return known, true
	}
	object := false
	t.each(p, func(s *schema) {
		for name, field := range s.Properties {
			known[name] = append(known[name], field)
		}
		if strings.Contains(string(s.Type), `"object"`) || s.Type == nil && s.Items == nil {
			object = true
		}
		if strings.HasPrefix(string(s.Additional), "{") {
			open = true
		}
	})
	return known, open || object && len(known) == 0
}

// items returns the place of a list's elements.
func (t eventType) items(p origin) origin {
	var items origin
	t.each(p, func(s *schema) {
		if s.Items != nil {
			items = append(items, s.Items)
		}
	})
	return items
}

// each visits the schemas of an origin, and those that they are made of.
func (t eventType) each(p origin, visit func(*schema)) {
	var walk func(s *schema, references int)
	walk = func(s *schema, references int) {
		if references > maxReferences {
			return
		}
		if s.Ref == "" || s.Properties != nil || s.Type != nil || s.AllOf != nil {
			visit(s)
		}
		if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok && t.data.Definitions[name] != nil {
			walk(t.data.Definitions[name], references+1)
		}
		for _, part := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
			walk(part, references+1)
		}
	}
	for _, s := range p {
		walk(s, 0)
	}
}

// unknown is a field that some of the event types do not have.
type unknown struct {
	path  string
	types []string
	// near are the fields that may have been meant, known all there are.
	near, known []string
	scope       bool
}

// fieldCheck looks for fields that an event of the type cannot have.
type fieldCheck struct {
	eventType
	found map[int64]*unknown
}

// checkFields returns a problem for every field that one of the types does not
// have; one that the expression asks for with has or default, only when none of
// them has it.
func checkFields(tree *ast.AST, types []eventType) []carillon.Problem {
	found := map[int64]*unknown{}
	for _, t := range types {
		fieldCheck{t, found}.visit(tree.Expr(), map[string]origin{"data": {t.data}})
	}
	tested := testedPaths(tree.Expr())
	var problems []carillon.Problem
	for _, id := range slices.Sorted(maps.Keys(found)) {
		u := found[id]
		if isTested(u.path, tested) && len(u.types) < len(types) {
			continue
		}
		problem := carillon.Problem{Detail: u.detail()}
		problem.Line, problem.Column = place(tree.SourceInfo().GetStartLocation(id))
		problems = append(problems, problem)
	}
	return problems
}

func (u *unknown) detail() string {
	const maxTypes = 3
	types := strings.Join(u.types[:min(len(u.types), maxTypes)], ", ")
	if more := len(u.types) - maxTypes; more > 0 {
		types += fmt.Sprintf(" and %d more", more)
	}
	text := fmt.Sprintf("%s has no field %s", types, u.path)
	if len(u.types) > 1 {
		text = fmt.Sprintf("%s have no field %s", types, u.path)
	}
	switch {
	case len(u.near) > 0:
		return text + "; did you mean " + strings.Join(u.near, " or ") + "?"
	case u.scope:
		return text + fmt.Sprintf("; a key that only you know is written scope['%s']", u.path[strings.LastIndexByte(u.path, '.')+1:])
	case len(u.known) > 0:
		return text + "; there are " + carillon.Clip(strings.Join(u.known, ", "), maxDetailBytes)
	default:
		return text
	}
}

// visit looks at an expression and returns the origin of its value.
func (c fieldCheck) visit(e ast.Expr, variables map[string]origin) origin {
	switch e.Kind() {
	case ast.IdentKind:
		return variables[e.AsIdent()]
	case ast.SelectKind:
		return c.field(e, variables)
	case ast.ComprehensionKind:
		return c.loop(e.AsComprehension(), variables)
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() == operators.Index {
			return c.index(call, variables)
		}
		if call.IsMemberFunction() {
			c.visit(call.Target(), variables)
		}
		var last origin
		for _, argument := range call.Args() {
			last = c.visit(argument, variables)
		}
		if call.FunctionName() == functionAbsent {
			return last
		}
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			c.visit(element, variables)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			c.visit(entry.AsMapEntry().Value(), variables)
		}
	}
	return nil
}

func (c fieldCheck) field(e ast.Expr, variables map[string]origin) origin {
	selected := e.AsSelect()
	name := selected.FieldName()
	if operand := selected.Operand(); operand.Kind() == ast.IdentKind && operand.AsIdent() == "scope" {
		if !slices.Contains(catalog.ScopeKeys, name) || !c.CanCarry(name) {
			c.note(e, c.Scoped).scope = true
		}
		return nil
	}
	at := c.visit(selected.Operand(), variables)
	known, open := c.fields(at)
	if found, ok := known[name]; ok {
		return found
	}
	if !open {
		c.note(e, slices.Sorted(maps.Keys(known)))
	}
	return nil
}

// note remembers that the type lacks the field that e selects.
func (c fieldCheck) note(e ast.Expr, known []string) *unknown {
	u := c.found[e.ID()]
	if u == nil {
		u = &unknown{path: pathText(e), known: known, near: catalog.Near(e.AsSelect().FieldName(), known)}
		c.found[e.ID()] = u
	}
	if !slices.Contains(u.types, c.Name) {
		u.types = append(u.types, c.Name)
	}
	return u
}

func (c fieldCheck) index(call ast.CallExpr, variables map[string]origin) origin {
	at := c.visit(call.Args()[0], variables)
	c.visit(call.Args()[1], variables)
	if key, ok := literal(call.Args()[1]); ok {
		known, _ := c.fields(at)
		return known[key]
	}
	return c.items(at)
}

func (c fieldCheck) loop(loop ast.ComprehensionExpr, variables map[string]origin) origin {
	at := c.visit(loop.IterRange(), variables)
	inner := maps.Clone(variables)
	inner[loop.IterVar()] = c.items(at)
	c.visit(loop.AccuInit(), inner)
	c.visit(loop.LoopStep(), inner)
	if element, ok := madeElement(loop); ok && element.Kind() == ast.IdentKind && element.AsIdent() == loop.IterVar() {
		return at
	}
	return nil
}

// pathText is how people write a field: "data.metadata.size". What is not a
// chain of names is "…".
func pathText(e ast.Expr) string {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent()
	case ast.SelectKind:
		return pathText(e.AsSelect().Operand()) + "." + e.AsSelect().FieldName()
	default:
		return "…"
	}
}

// testedPaths returns the fields that has or default ask for.
func testedPaths(e ast.Expr) []string {
	var paths []string
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly() {
			paths = append(paths, pathText(e))
		}
	}))
	return paths
}

func isTested(path string, tested []string) bool {
	return slices.ContainsFunc(tested, func(t string) bool { return path == t || strings.HasPrefix(path, t+".") })
}
