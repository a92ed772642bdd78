package conditions

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	celenv "github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"

	"github.com/carillon-dev/carillon"
)

// Limits of an expression. A condition that a person can read is far below
// them; what they refuse is made to be expensive.
const (
	// MaxExpressionChars is the longest expression, in characters.
	MaxExpressionChars = 2048
	// MaxNodes is the largest syntax tree, macros expanded.
	MaxNodes = 200
	// MaxDepth is the deepest nesting of an expression.
	MaxDepth = 32
	// MaxLoops is how deep exists, exists_one and all may be nested: with one,
	// time is linear in the event's size.
	MaxLoops = 1
	// MaxPatternBytes is the longest pattern of glob and matches.
	MaxPatternBytes = 256
	// MaxRegexProgram is the largest compiled regular expression, in
	// instructions of Go's regexp: matching takes program × text steps at worst.
	MaxRegexProgram = 256
)

// Environment compiles conditions. It is safe for concurrent use.
type Environment struct {
	env *cel.Env
	// templates says that expressions stand in a template: they may have any
	// type and build texts, lists and maps to be written.
	templates bool
}

// what is what people call the expressions of the environment.
func (env *Environment) what() string {
	if env.templates {
		return "expression"
	}
	return "condition"
}

// New returns an environment with the variables and functions that
// docs/conditions.md describes.
func New() (*Environment, error) {
	env, err := newEnv(cel.StdLib(cel.StdLibSubset(standardFunctions())), cel.Macros(refusedMacros()...))
	if err != nil {
		return nil, err
	}
	return &Environment{env: env}, nil
}

// newEnv makes an environment of the variables and functions that conditions
// and templates share.
func newEnv(own ...cel.EnvOption) (*cel.Env, error) {
	labelSharedErrors()
	provider, err := newProvider()
	if err != nil {
		return nil, fmt.Errorf("make the condition environment: %w", err)
	}
	options := append(own,
		cel.CustomTypeProvider(provider),
		cel.Variable("type", cel.StringType),
		cel.Variable("source", cel.StringType),
		cel.Variable("actor", cel.StringType),
		cel.Variable("subject", cel.StringType),
		cel.Variable("time", cel.TimestampType),
		cel.Variable("scope", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("data", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("pkg", packageType),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableHiddenAccumulatorName(true),
		cel.EagerlyValidateDeclarations(true),
		cel.ParserExpressionSizeLimit(MaxExpressionChars),
		cel.ParserRecursionLimit(MaxDepth),
		cel.ExpressionNodeLimit(MaxNodes),
	)
	env, err := cel.NewCustomEnv(append(options, functions()...)...)
	if err != nil {
		return nil, fmt.Errorf("make the condition environment: %w", err)
	}
	return env, nil
}

// standardFunctions names what conditions may use of CEL's standard library.
// It is a list of what is in, so that nothing slips in with a new version of
// the library. Left out: what joins strings, bytes or lists; dyn and type,
// which hide or show types that conditions need not know; matches, which
// conditions have in a bounded form.
func standardFunctions() *celenv.LibrarySubset {
	subset := celenv.NewLibrarySubset()
	subset.IncludeMacros = []string{operators.Has, operators.All, operators.Exists, operators.ExistsOne}
	for _, name := range []string{
		operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.NotStrictlyFalse,
		operators.Equals, operators.NotEquals,
		operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
		operators.Index, operators.In,
		overloads.Size,
		overloads.TypeConvertBool, overloads.TypeConvertDouble, overloads.TypeConvertDuration, overloads.TypeConvertInt,
		overloads.TypeConvertString, overloads.TypeConvertTimestamp,
		overloads.Contains, overloads.StartsWith, overloads.EndsWith,
		overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear, overloads.TimeGetDayOfMonth,
		overloads.TimeGetDate, overloads.TimeGetDayOfWeek, overloads.TimeGetHours, overloads.TimeGetMinutes,
		overloads.TimeGetSeconds, overloads.TimeGetMilliseconds,
	} {
		subset.IncludeFunctions = append(subset.IncludeFunctions, celenv.NewFunction(name))
	}
	subset.IncludeFunctions = append(subset.IncludeFunctions, celenv.NewFunction(operators.Add,
		&celenv.Overload{ID: overloads.AddInt64},
		&celenv.Overload{ID: overloads.AddDouble},
		&celenv.Overload{ID: overloads.AddUint64},
		&celenv.Overload{ID: overloads.AddDurationDuration},
		&celenv.Overload{ID: overloads.AddDurationTimestamp},
		&celenv.Overload{ID: overloads.AddTimestampDuration},
	))
	return subset
}

// refusedMacros answers the two macros of CEL that conditions do not have, and
// that people who know CEL will try, with what to use instead.
func refusedMacros() []cel.Macro {
	refuse := func(factory cel.MacroExprFactory, target ast.Expr, _ []ast.Expr) (ast.Expr, *cel.Error) {
		return nil, factory.NewError(target.ID(), "map and filter are not available; use exists, exists_one or all")
	}
	return []cel.Macro{
		cel.ReceiverMacro(operators.Map, 2, refuse),
		cel.ReceiverMacro(operators.Map, 3, refuse),
		cel.ReceiverMacro(operators.Filter, 2, refuse),
	}
}

// Compile reads an expression. An empty one, or one of white space only,
// matches everything. What is wrong with it is a [carillon.Error] of
// [carillon.CodeInvalid] with up to ten Problems; each has a line and a column,
// counted in characters from 1, and an empty Pointer, for the caller to set.
func (env *Environment) Compile(expression string) (condition *Condition, err error) {
	// The parser is a large machine made by a generator, fed by strangers: a
	// fault in it must cost one answer, not the process.
	defer func() {
		if recovered := recover(); recovered != nil {
			condition = nil
			err = problemsError(carillon.Problem{Detail: "this expression cannot be compiled", Line: 1, Column: 1})
		}
	}()
	if strings.TrimSpace(expression) == "" {
		return &Condition{expression: expression}, nil
	}
	checked, problems := env.check(expression, nil)
	if len(problems) > 0 {
		return nil, problemsError(problems...)
	}
	if checked.OutputType() != cel.BoolType {
		return nil, problemsError(notBoolean(checked))
	}
	program, err := env.env.Program(checked, programOptions(checked.NativeRep())...)
	if err != nil {
		return nil, problemsError(carillon.Problem{Detail: err.Error(), Line: 1, Column: 1})
	}
	return &Condition{expression: expression, program: program, tree: checked.NativeRep()}, nil
}

// check parses an expression, has rewrite change its tree, if there is one,
// and checks its types and the rules of this package.
func (env *Environment) check(expression string, rewrite func(*ast.AST)) (*cel.Ast, []carillon.Problem) {
	if problem, ok := env.checkText(expression); !ok {
		return nil, []carillon.Problem{problem}
	}
	parsed, issues := env.env.Parse(expression)
	if issues.Err() != nil {
		return nil, env.explain(issues, nil)
	}
	if rewrite != nil {
		rewrite(parsed.NativeRep())
	}
	checked, issues := env.env.Check(parsed)
	if issues.Err() != nil {
		return nil, env.explain(issues, env.hinter(parsed.NativeRep()))
	}
	if issues := env.applyRules(checked); issues.Err() != nil {
		return nil, env.explain(issues, nil)
	}
	return checked, nil
}

// checkText looks at what the parser would refuse with less to say, and at
// U+0000, which a database's text cannot hold.
func (env *Environment) checkText(expression string) (carillon.Problem, bool) {
	problem := carillon.Problem{Line: 1, Column: 1}
	switch {
	case !utf8.ValidString(expression):
		problem.Detail = "the " + env.what() + " is not valid UTF-8"
	case strings.ContainsRune(expression, 0):
		problem.Detail = "the " + env.what() + " holds the character U+0000"
	case utf8.RuneCountInString(expression) > MaxExpressionChars:
		problem.Detail = fmt.Sprintf("the %s has %d characters; at most %d are allowed", env.what(),
			utf8.RuneCountInString(expression), MaxExpressionChars)
	default:
		return problem, true
	}
	return problem, false
}

func problemsError(problems ...carillon.Problem) *carillon.Error {
	return &carillon.Error{Code: carillon.CodeInvalid, Message: "the condition does not compile", Problems: problems}
}
