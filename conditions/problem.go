package conditions

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"github.com/carillon-dev/carillon"
)

const (
	// maxProblems keeps an answer readable; the first is nearly always the cause.
	maxProblems = 10
	// maxDetailBytes cuts what the parser says, which can quote the whole input.
	maxDetailBytes = 300
)

// variables has the names of the variables, in the order of an event's fields.
var variables = []string{"type", "source", "actor", "subject", "time", "scope", "data", "pkg"}

// explain turns what the compiler says into problems for people. hint, when
// there is one, has a better text for the expression with an id.
func (env *Environment) explain(issues *cel.Issues, hint func(id int64) (string, bool)) []carillon.Problem {
	var problems []carillon.Problem
	for _, issue := range issues.Errors() {
		if len(problems) == maxProblems {
			break
		}
		detail := issue.Message
		if hint != nil {
			if better, ok := hint(issue.ExprID); ok {
				detail = better
			}
		}
		// A grammar's list of what could stand here helps nobody.
		detail, _, _ = strings.Cut(detail, " expecting ")
		if strings.Contains(detail, "<EOF>") {
			detail = "the " + env.what() + " ends too early"
		}
		problem := carillon.Problem{Detail: carillon.Clip(detail, maxDetailBytes)}
		problem.Line, problem.Column = place(issue.Location)
		problems = append(problems, problem)
	}
	return problems
}

// hinter returns a function that says what is available where the type checker
// stumbled over an expression of the tree.
func (env *Environment) hinter(tree *ast.AST) func(id int64) (string, bool) {
	return func(id int64) (string, bool) { return env.hint(tree, id) }
}

func (env *Environment) hint(tree *ast.AST, id int64) (string, bool) {
	found := ast.MatchDescendants(ast.NavigateAST(tree), func(e ast.NavigableExpr) bool { return e.ID() == id })
	if len(found) == 0 {
		return "", false
	}
	switch e := found[0]; e.Kind() {
	case ast.IdentKind:
		return fmt.Sprintf("there is no variable %q; the variables are %s", e.AsIdent(), strings.Join(variables, ", ")), true
	case ast.SelectKind:
		selected := e.AsSelect()
		operand := selected.Operand()
		if operand.Kind() != ast.IdentKind || operand.AsIdent() != "pkg" {
			return "", false
		}
		if _, ok := packageFields[selected.FieldName()]; ok {
			return "", false
		}
		return fmt.Sprintf("pkg has no field %q; its fields are %s", selected.FieldName(), strings.Join(packageFieldNames, ", ")), true
	case ast.CallKind:
		switch name := e.AsCall().FunctionName(); {
		case name == operators.Add:
			return env.addsOnly(), true
		case !env.env.HasFunction(name):
			if env.templates {
				return fmt.Sprintf("there is no function %q; beside those of conditions there are %s", name,
					strings.Join(templateFunctionNames, ", ")), true
			}
			return fmt.Sprintf("there is no function %q", name), true
		}
	}
	return "", false
}

// notBoolean explains an expression whose result is not known to be a boolean.
func notBoolean(checked *cel.Ast) carillon.Problem {
	problem := carillon.Problem{Line: 1, Column: 1}
	if checked.OutputType() == cel.DynType {
		problem.Detail = "a condition must be true or false, and what this is depends on the event; compare it, as in data.cached == true"
	} else {
		problem.Detail = fmt.Sprintf("a condition must be true or false, and this is of type %s", checked.OutputType())
	}
	return problem
}

// place returns a location's line and column, from 1; CEL counts columns from
// 0, and has -1 for no location.
func place(at common.Location) (line, column int) {
	if at == nil {
		return 1, 1
	}
	return max(at.Line(), 1), max(at.Column(), 0) + 1
}
