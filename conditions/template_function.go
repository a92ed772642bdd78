package conditions

import (
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	celenv "github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// The functions that templates have beside those of conditions.
const (
	functionJoin    = "join"
	functionJSON    = "json"
	functionLower   = "lower"
	functionUpper   = "upper"
	functionClip    = "clip"
	functionDefault = "default"
	// functionAbsent is put around what is written; see [markAbsent]. Nobody can
	// write its name.
	functionAbsent = "@absent"
	// functionAny is put around a branch of a choice beside null.
	functionAny = "@any"
)

// templateFunctionNames are those to name where there is no such function.
var templateFunctionNames = []string{functionClip, functionDefault, functionJoin, functionJSON, functionLower, functionUpper}

// templateOptions are what templates have beside [newEnv]'s.
func templateOptions() []cel.EnvOption {
	subset := standardFunctions()
	subset.IncludeMacros = append(subset.IncludeMacros, operators.Map, operators.Filter)
	subset.IncludeFunctions = slices.DeleteFunc(subset.IncludeFunctions, func(f *celenv.Function) bool {
		return f.Name == overloads.TypeConvertString
	})
	for _, f := range subset.IncludeFunctions {
		if f.Name == operators.Add {
			f.Overloads = append(f.Overloads, &celenv.Overload{ID: overloads.AddString}, &celenv.Overload{ID: overloads.AddList})
		}
	}
	same := cel.TypeParamType("T")
	return []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.Macros(cel.GlobalMacro(functionDefault, 2, expandDefault)),
		// The library's own knows neither null nor lists.
		cel.Function(overloads.TypeConvertString, cel.Overload("string_dyn", []*cel.Type{cel.DynType}, cel.StringType,
			cel.UnaryBinding(func(value ref.Val) ref.Val { return textValue(plainText(value)) }))),
		cel.Function(functionJoin, cel.MemberOverload("list_join_string", []*cel.Type{cel.DynType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(joinValues))),
		cel.Function(functionJSON, cel.Overload("json_dyn", []*cel.Type{cel.DynType}, cel.StringType,
			cel.UnaryBinding(jsonText))),
		cel.Function(functionLower, cel.MemberOverload("string_lower", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(onString(strings.ToLower)))),
		cel.Function(functionUpper, cel.MemberOverload("string_upper", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(onString(strings.ToUpper)))),
		cel.Function(functionClip, cel.MemberOverload("string_clip_int", []*cel.Type{cel.StringType, cel.IntType}, cel.StringType,
			cel.BinaryBinding(clipText))),
		cel.Function(functionAny, cel.Overload("any_dyn", []*cel.Type{cel.DynType}, cel.DynType,
			cel.UnaryBinding(func(value ref.Val) ref.Val { return value }))),
		cel.Function(functionAbsent, cel.Overload("absent_any", []*cel.Type{same}, same,
			cel.OverloadIsNonStrict(), cel.UnaryBinding(nullWhereAbsent))),
	}
}

// noSuchKey is how the library's error for a key that is not there begins; it
// has no type of its own.
const noSuchKey = "no such key: "

func nullWhereAbsent(value ref.Val) ref.Val {
	if failed, ok := value.(*types.Err); ok && strings.HasPrefix(failed.Error(), noSuchKey) {
		return types.NullValue
	}
	return value
}

func onString(do func(string) string) func(ref.Val) ref.Val {
	return func(value ref.Val) ref.Val {
		text, ok := value.(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(value)
		}
		return types.String(do(string(text)))
	}
}

// joinValues writes the elements of a list with a text between them. What the
// catalog calls words, a text or a list, can be joined in either form.
func joinValues(listed, separator ref.Val) ref.Val {
	elements, ok := listed.(traits.Lister)
	if !ok {
		if _, ok := listed.(traits.Mapper); ok {
			return types.MaybeNoSuchOverloadErr(listed)
		}
		return textValue(plainText(listed))
	}
	between, ok := separator.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(separator)
	}
	return textValue(joined(elements, string(between), nil))
}

// joined writes the elements of a list, each through escape, if there is one.
func joined(elements traits.Lister, between string, escape func(string) string) (string, error) {
	out := &output{}
	first := true
	for i := elements.Iterator(); i.HasNext() == types.True; first = false {
		text, err := plainText(i.Next())
		if err != nil {
			return "", err
		}
		if escape != nil {
			text = escape(text)
		}
		if !first {
			text = between + text
		}
		if err := out.text(text); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

func jsonText(value ref.Val) ref.Val {
	out := &output{}
	err := out.json(value, nil)
	return textValue(out.String(), err)
}

func textValue(text string, err error) ref.Val {
	if err != nil {
		return types.WrapErr(err)
	}
	return types.String(text)
}

// clipText cuts a text after so many characters, and marks that it did.
func clipText(value, most ref.Val) ref.Val {
	text, ok := value.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(value)
	}
	n, ok := most.(types.Int)
	if !ok {
		return types.MaybeNoSuchOverloadErr(most)
	}
	seen := types.Int(0)
	cut := 0
	for i := range string(text) {
		if seen == n-1 {
			cut = i
		}
		if seen++; seen > n {
			return text[:cut] + "…"
		}
	}
	return text
}

// expandDefault makes "default(data.a.b, x)" a test whether the field is there,
// and not null, in front of it.
func expandDefault(factory cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
	var tests []ast.Expr
	root := args[0]
	for {
		if root.Kind() == ast.SelectKind && !root.AsSelect().IsTestOnly() {
			selected := root.AsSelect()
			tests = append(tests, factory.NewPresenceTest(factory.Copy(selected.Operand()), selected.FieldName()))
			root = selected.Operand()
			continue
		}
		if root.Kind() == ast.CallKind && root.AsCall().FunctionName() == operators.Index {
			arguments := root.AsCall().Args()
			if _, ok := literal(arguments[1]); ok {
				tests = append(tests, factory.NewCall(operators.In, factory.Copy(arguments[1]), factory.Copy(arguments[0])))
				root = arguments[0]
				continue
			}
		}
		break
	}
	if len(tests) == 0 || root.Kind() != ast.IdentKind {
		return nil, factory.NewError(args[0].ID(), "default takes a field and what to write without it, as in default(data.score, 0)")
	}
	there := tests[len(tests)-1]
	for i := len(tests) - 2; i >= 0; i-- {
		there = factory.NewCall(operators.LogicalAnd, there, tests[i])
	}
	// Scopes and packages have no null.
	if name := root.AsIdent(); name != "scope" && name != "pkg" {
		there = factory.NewCall(operators.LogicalAnd, there,
			factory.NewCall(operators.NotEquals, factory.Copy(args[0]), factory.NewLiteral(types.NullValue)))
	}
	return factory.NewCall(operators.Conditional, there, args[0], args[1]), nil
}
