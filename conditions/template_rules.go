package conditions

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/parser"
)

// MaxTemplateLoops is how deep loops may be nested in a template's expression:
// packages, and the vulnerabilities of each. Every turn of the inner one is
// charged.
const MaxTemplateLoops = 2

// checkBuilt keeps what an expression builds within what the limits count.
//
// A list or map of values out of the event costs nothing to make, and holds
// them by reference; made again and again out of itself it would be of a size
// that doubles with every step, which whatever then goes through it would feel.
// So such lists and maps stand only where they are written (output), and
// writing stops at the limit of the output; and nothing loops over what map
// made.
func checkBuilt(tree *ast.AST, e ast.Expr, output bool, issues *cel.Issues) {
	switch e.Kind() {
	case ast.SelectKind:
		checkBuilt(tree, e.AsSelect().Operand(), false, issues)
	case ast.ListKind:
		if !output {
			checkElements(tree, e, issues)
		}
		for _, element := range e.AsList().Elements() {
			checkBuilt(tree, element, output, issues)
		}
	case ast.MapKind:
		if !output {
			checkElements(tree, e, issues)
		}
		checkKeys(e, issues)
		for _, entry := range e.AsMap().Entries() {
			checkBuilt(tree, entry.AsMapEntry().Value(), output, issues)
		}
	case ast.ComprehensionKind:
		checkLoop(tree, e, output, issues)
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			checkBuilt(tree, call.Target(), false, issues)
		}
		for i, argument := range call.Args() {
			through := call.FunctionName() == functionAbsent || call.FunctionName() == functionAny ||
				call.FunctionName() == operators.Conditional && i > 0
			written := through && output ||
				call.FunctionName() == functionJSON || call.FunctionName() == overloads.TypeConvertString
			checkBuilt(tree, argument, written, issues)
		}
	}
}

func checkLoop(tree *ast.AST, e ast.Expr, output bool, issues *cel.Issues) {
	loop := e.AsComprehension()
	if isMade(loop.IterRange()) {
		issues.ReportErrorAtID(e.ID(), "a loop cannot go over what map made; use map last")
	}
	checkBuilt(tree, loop.IterRange(), false, issues)
	element, ok := madeElement(loop)
	if !ok {
		checkBuilt(tree, loop.LoopStep(), false, issues)
		return
	}
	if step := loop.LoopStep().AsCall(); step.FunctionName() == operators.Conditional {
		checkBuilt(tree, step.Args()[0], false, issues)
	}
	checkBuilt(tree, element, output, issues)
}

// isMade reports whether a map is in the expression.
func isMade(e ast.Expr) bool {
	found := false
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.ComprehensionKind {
			return
		}
		loop := e.AsComprehension()
		if element, ok := madeElement(loop); ok && (element.Kind() != ast.IdentKind || element.AsIdent() != loop.IterVar()) {
			found = true
		}
	}))
	return found
}

// madeElement returns what a map or filter adds to its list in each turn. They
// are the loops that gather a list, by "accumulator + [element]", which can be
// a branch of a conditional.
func madeElement(loop ast.ComprehensionExpr) (ast.Expr, bool) {
	if loop.AccuInit().Kind() != ast.ListKind || loop.LoopStep().Kind() != ast.CallKind {
		return nil, false
	}
	step := loop.LoopStep().AsCall()
	if step.FunctionName() == operators.Conditional {
		if step.Args()[1].Kind() != ast.CallKind {
			return nil, false
		}
		step = step.Args()[1].AsCall()
	}
	if !accumulates(step) {
		return nil, false
	}
	return step.Args()[1].AsList().Elements()[0], true
}

// accumulates reports whether a call is the sum by which a macro gathers a
// list. Nobody can write the accumulator's name.
func accumulates(call ast.CallExpr) bool {
	if call.FunctionName() != operators.Add || len(call.Args()) != 2 {
		return false
	}
	accumulator, added := call.Args()[0], call.Args()[1]
	return accumulator.Kind() == ast.IdentKind && accumulator.AsIdent() == parser.HiddenAccumulatorName &&
		added.Kind() == ast.ListKind && added.AsList().Size() == 1
}

// checkKeys wants the keys of a map written as texts, each once: then no value
// can make one, and they are written in the order of the template.
func checkKeys(e ast.Expr, issues *cel.Issues) {
	seen := map[string]bool{}
	for _, entry := range e.AsMap().Entries() {
		key := entry.AsMapEntry().Key()
		text, ok := literal(key)
		switch {
		case !ok:
			issues.ReportErrorAtID(key.ID(), "the keys of a map must be written as texts")
		case seen[text]:
			issues.ReportErrorAtID(key.ID(), "the key %q is there twice", text)
		}
		seen[text] = true
	}
}

// writable reports whether values of the type can stand in a payload.
func writable(t *types.Type) bool {
	switch t.Kind() {
	case types.BytesKind, types.StructKind, types.TypeKind:
		return false
	default:
		return true
	}
}

// markAbsent puts the function that makes null of a field that is not there
// around everything that is written: the expression as a whole, the elements of
// lists, the values of maps, what map makes of each element, and what string
// and json are asked to write.
//
// It also takes the type from the branches of a choice of which one is null:
// the checker wants one type of both.
func markAbsent(tree *ast.AST) {
	var written, choices []ast.Expr
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			if element, ok := madeElement(e.AsComprehension()); ok {
				written = append(written, element)
			}
		case ast.MapKind:
			for _, entry := range e.AsMap().Entries() {
				written = append(written, entry.AsMapEntry().Value())
			}
		case ast.ListKind:
			written = append(written, e.AsList().Elements()...)
		case ast.CallKind:
			if name := e.AsCall().FunctionName(); name == functionJSON || name == overloads.TypeConvertString {
				written = append(written, e.AsCall().Args()...)
			} else if args := e.AsCall().Args(); name == operators.Conditional && (isNull(args[1]) || isNull(args[2])) {
				choices = append(choices, args[1:]...)
			}
		}
	}))
	written = append(written, tree.Expr())
	factory, next, done := ast.NewExprFactory(), ast.MaxID(tree), map[int64]bool{}
	wrap := func(e ast.Expr, function string) {
		next++
		inner := factory.NewUnspecifiedExpr(next)
		inner.SetKindCase(e)
		if at, ok := tree.SourceInfo().GetOffsetRange(e.ID()); ok {
			tree.SourceInfo().SetOffsetRange(next, at)
		}
		e.SetKindCase(factory.NewCall(e.ID(), function, inner))
	}
	for _, e := range choices {
		wrap(e, functionAny)
	}
	for _, e := range written {
		if done[e.ID()] || e.Kind() == ast.LiteralKind || e.Kind() == ast.IdentKind || byBracket(e) {
			continue
		}
		done[e.ID()] = true
		wrap(e, functionAbsent)
	}
}

func isNull(e ast.Expr) bool { return e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue }

// byBracket reports whether the expression reads a key as data['key']: such
// keys are those that the catalog does not know, so nothing but their absence
// tells that they are misspelt.
func byBracket(e ast.Expr) bool {
	found := false
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index {
			if _, ok := literal(e.AsCall().Args()[1]); ok {
				found = true
			}
		}
	}))
	return found
}
