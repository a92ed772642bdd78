package conditions

import (
	"fmt"
	"regexp/syntax"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
)

const (
	addsNumbersOnly = "+ adds numbers, durations and times of known type; write int(data.x) or double(data.x) for values out of data"
	addsKnownOnly   = "+ joins texts and adds numbers, durations and times of known type; write string(data.x) or int(data.x) for values out of data"
	literalsOnly    = "a list or map here holds strings, numbers, booleans and times of known type; write string(data.x) for values out of data"
)

func (env *Environment) addsOnly() string {
	if env.templates {
		return addsKnownOnly
	}
	return addsNumbersOnly
}

// applyRules refuses, in a type-checked expression, what the limits of this
// package rest on (see the package comment), and literals that can be seen to
// be wrong.
func (env *Environment) applyRules(checked *cel.Ast) *cel.Issues {
	tree := checked.NativeRep()
	issues := cel.NewIssuesWithSourceInfo(common.NewErrors(checked.Source()), tree.SourceInfo())
	for _, validator := range []cel.ASTValidator{
		cel.ValidateDurationLiterals(),
		cel.ValidateTimestampLiterals(),
	} {
		validator.Validate(env.env, nil, tree, issues)
	}
	for _, e := range ast.MatchDescendants(ast.NavigateAST(tree), ast.AllMatcher()) {
		switch e.Kind() {
		case ast.IdentKind:
			if tree.GetType(e.ID()).IsExactType(packageType) && !selected(e) {
				issues.ReportErrorAtID(e.ID(), "pkg is not a value of its own; use its fields: %s", strings.Join(packageFieldNames, ", "))
			}
		case ast.ComprehensionKind:
			switch {
			case !env.templates && loopsAround(e) >= MaxLoops:
				issues.ReportErrorAtID(e.ID(), "exists, exists_one and all cannot stand inside each other")
			case turnsAround(e) >= MaxTemplateLoops:
				issues.ReportErrorAtID(e.ID(), "loops can stand inside each other %d deep", MaxTemplateLoops)
			}
		case ast.StructKind:
			issues.ReportErrorAtID(e.ID(), "objects cannot be made in %s", map[bool]string{false: "a condition", true: "an expression"}[env.templates])
		case ast.ListKind, ast.MapKind:
			if !env.templates {
				checkElements(tree, e, issues)
			}
		case ast.CallKind:
			env.checkCall(tree, e, issues)
		}
	}
	if env.templates {
		checkBuilt(tree, tree.Expr(), true, issues)
	}
	return issues
}

// checkElements refuses a list or map of values whose size is not known.
func checkElements(tree *ast.AST, e ast.Expr, issues *cel.Issues) {
	if e.Kind() == ast.ListKind {
		for _, element := range e.AsList().Elements() {
			checkPlain(tree, element, issues)
		}
		return
	}
	for _, entry := range e.AsMap().Entries() {
		checkPlain(tree, entry.AsMapEntry().Key(), issues)
		checkPlain(tree, entry.AsMapEntry().Value(), issues)
	}
}

// selected reports whether the expression stands before a field's name.
func selected(e ast.NavigableExpr) bool {
	parent, ok := e.Parent()
	return ok && parent.Kind() == ast.SelectKind
}

func loopsAround(e ast.NavigableExpr) int {
	loops := 0
	for parent, ok := e.Parent(); ok; parent, ok = parent.Parent() {
		if parent.Kind() == ast.ComprehensionKind {
			loops++
		}
	}
	return loops
}

// turnsAround counts the loops in each of whose turns the expression is
// evaluated: not those that go over it.
func turnsAround(e ast.NavigableExpr) int {
	loops := 0
	for parent, ok := e.Parent(); ok; parent, ok = parent.Parent() {
		if parent.Kind() == ast.ComprehensionKind && parent.AsComprehension().IterRange().ID() != e.ID() {
			loops++
		}
		e = parent
	}
	return loops
}

func checkPlain(tree *ast.AST, e ast.Expr, issues *cel.Issues) {
	if !plain(tree.GetType(e.ID())) {
		issues.ReportErrorAtID(e.ID(), literalsOnly)
	}
}

// plain reports whether values of the type are of a size known from the
// expression and the limits.
func plain(t *types.Type) bool {
	switch t.Kind() {
	case types.BoolKind, types.BytesKind, types.DoubleKind, types.DurationKind, types.IntKind, types.NullTypeKind,
		types.StringKind, types.TimestampKind, types.UintKind:
		return true
	default:
		return false
	}
}

func (env *Environment) checkCall(tree *ast.AST, e ast.Expr, issues *cel.Issues) {
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.Add:
		// The library's + joins whatever it meets at run time; only types known
		// before keep it to numbers and times.
		if accumulates(call) {
			return
		}
		for _, operand := range call.Args() {
			if !plain(tree.GetType(operand.ID())) {
				issues.ReportErrorAtID(e.ID(), "%s", env.addsOnly())
				return
			}
		}
	case overloads.Matches:
		env.checkLiteral(call, true, issues, func(pattern string) error {
			_, err := regexSize(pattern)
			return err
		})
	case functionGlob:
		argument := call.Args()[0]
		if text, ok := literal(argument); ok {
			if err := checkGlob(text); err != nil {
				issues.ReportErrorAtID(argument.ID(), "%v", err)
			}
		}
	case functionSemverIn:
		env.checkLiteral(call, true, issues, func(text string) error {
			if _, err := semver.NewConstraint(text); err != nil {
				return fmt.Errorf("%q is not a version range such as \">=1.2 <2\"", text)
			}
			return nil
		})
	case functionInInterval:
		env.checkLiteral(call, true, issues, func(text string) error {
			_, err := inInterval(text)
			return err
		})
	case functionSemverLess:
		env.checkLiteral(call, false, issues, func(text string) error {
			if _, err := semver.NewVersion(text); err != nil {
				return fmt.Errorf("%q is not a semantic version", text)
			}
			return nil
		})
	}
}

// checkLiteral checks the last argument of a call where it is a literal, and
// refuses any other where it must be one.
func (env *Environment) checkLiteral(call ast.CallExpr, must bool, issues *cel.Issues, check func(string) error) {
	argument := call.Args()[len(call.Args())-1]
	text, ok := literal(argument)
	switch {
	case ok:
		if err := check(text); err != nil {
			issues.ReportErrorAtID(argument.ID(), "%v", err)
		}
	case must:
		issues.ReportErrorAtID(argument.ID(), "the argument of %s must be written in %s, as a literal", call.FunctionName(), "the "+env.what())
	}
}

func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().Value().(string)
	return text, ok
}

// regexSize returns the size of a pattern's program, or why it is refused.
// (The library's own limit, cel.RegexProgramSizeLimit, panics on repetitions
// such as a{1,3}: it compiles what it has not simplified.)
func regexSize(pattern string) (int, error) {
	// Before anything is compiled: repetitions make the program far larger
	// than the pattern.
	if len(pattern) > MaxPatternBytes {
		return 0, fmt.Errorf("the pattern has %d bytes; at most %d are allowed", len(pattern), MaxPatternBytes)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	if len(program.Inst) > MaxRegexProgram {
		return 0, fmt.Errorf("the pattern compiles to %d steps; at most %d are allowed", len(program.Inst), MaxRegexProgram)
	}
	return len(program.Inst), nil
}
