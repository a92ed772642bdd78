package conditions

import (
	"regexp"

	"github.com/Masterminds/semver/v3"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// The functions that conditions have beside CEL's own.
const (
	functionGlob       = "glob"
	functionIsSemver   = "is_semver"
	functionSemverIn   = "semver_in"
	functionSemverLess = "semver_less"
	functionInInterval = "in_interval"
)

func functions() []cel.EnvOption {
	twoStrings := []*cel.Type{cel.StringType, cel.StringType}
	return []cel.EnvOption{
		cel.Function(functionGlob,
			cel.Overload("glob_pattern_text", twoStrings, cel.BoolType,
				cel.BinaryBinding(onStrings(func(pattern, text string) ref.Val { return globValue(pattern, text) }))),
			cel.MemberOverload("text_glob_pattern", twoStrings, cel.BoolType,
				cel.BinaryBinding(onStrings(func(text, pattern string) ref.Val { return globValue(pattern, text) })))),
		cel.Function(overloads.Matches,
			cel.Overload(overloads.Matches, twoStrings, cel.BoolType),
			cel.MemberOverload(overloads.MatchesString, twoStrings, cel.BoolType),
			cel.SingletonBinaryBinding(onStrings(func(text, pattern string) ref.Val {
				compiled, err := regexp.Compile(pattern)
				if err != nil {
					return types.WrapErr(err)
				}
				return types.Bool(compiled.MatchString(text))
			}))),
		cel.Function(functionIsSemver,
			cel.MemberOverload("string_is_semver", []*cel.Type{cel.StringType}, cel.BoolType,
				cel.UnaryBinding(func(value ref.Val) ref.Val {
					text, ok := value.(types.String)
					if !ok {
						return types.MaybeNoSuchOverloadErr(value)
					}
					if len(text) > MaxStringBytes {
						return tooLong(string(text))
					}
					_, err := semver.NewVersion(string(text))
					return types.Bool(err == nil)
				}))),
		cel.Function(functionSemverIn,
			cel.MemberOverload("string_semver_in_string", twoStrings, cel.BoolType,
				cel.BinaryBinding(onStrings(func(version, versions string) ref.Val {
					constraint, err := semver.NewConstraint(versions)
					if err != nil {
						return types.WrapErr(err)
					}
					return types.Bool(versionIn(version, constraint))
				})))),
		cel.Function(functionSemverLess,
			cel.MemberOverload("string_semver_less_string", twoStrings, cel.BoolType,
				cel.BinaryBinding(onStrings(func(a, b string) ref.Val { return types.Bool(versionLess(a, b)) })))),
		cel.Function(functionInInterval,
			cel.MemberOverload("string_in_interval_string", twoStrings, cel.BoolType,
				cel.BinaryBinding(onStrings(func(version, versions string) ref.Val {
					test, err := inInterval(versions)
					if err != nil {
						return types.WrapErr(err)
					}
					return types.Bool(test(version))
				})))),
	}
}

// onStrings makes a binding of a function of two strings.
func onStrings(do func(a, b string) ref.Val) func(ref.Val, ref.Val) ref.Val {
	return func(lhs, rhs ref.Val) ref.Val {
		a, ok := lhs.(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(lhs)
		}
		b, ok := rhs.(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(rhs)
		}
		for _, text := range []types.String{a, b} {
			if len(text) > MaxStringBytes {
				return tooLong(string(text))
			}
		}
		return do(string(a), string(b))
	}
}

// tooLong is the answer of the functions that are slow over long texts, such
// as a template may read.
func tooLong(text string) ref.Val {
	return types.NewErr("a text of %d bytes is too long for it; at most %d are allowed", len(text), MaxStringBytes)
}

// readOnce makes a program read the patterns and ranges of its expression when
// it is made, not at every evaluation.
func readOnce() []*interpreter.RegexOptimization {
	return []*interpreter.RegexOptimization{
		{Function: overloads.Matches, RegexIndex: 1, Factory: func(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
			compiled, err := regexp.Compile(pattern)
			if err != nil {
				return nil, err
			}
			return onText(call, func(text string) bool { return compiled.MatchString(text) }), nil
		}},
		{Function: functionSemverIn, RegexIndex: 1, Factory: func(call interpreter.InterpretableCall, versions string) (interpreter.InterpretableCall, error) {
			constraint, err := semver.NewConstraint(versions)
			if err != nil {
				return nil, err
			}
			return onText(call, func(version string) bool { return versionIn(version, constraint) }), nil
		}},
		{Function: functionInInterval, RegexIndex: 1, Factory: func(call interpreter.InterpretableCall, versions string) (interpreter.InterpretableCall, error) {
			test, err := inInterval(versions)
			if err != nil {
				return nil, err
			}
			return onText(call, test), nil
		}},
	}
}

// onText replaces a call by one that needs only its target.
func onText(call interpreter.InterpretableCall, do func(text string) bool) interpreter.InterpretableCall {
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(values ...ref.Val) ref.Val {
		text, ok := values[0].(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(values[0])
		}
		if len(text) > MaxStringBytes {
			return tooLong(string(text))
		}
		return types.Bool(do(string(text)))
	})
}

func globValue(pattern, text string) ref.Val {
	if err := checkGlob(pattern); err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(matchGlob(pattern, text))
}

func versionIn(text string, constraint *semver.Constraints) bool {
	version, err := semver.NewVersion(text)
	return err == nil && constraint.Check(version)
}

func versionLess(a, b string) bool {
	first, err := semver.NewVersion(a)
	if err != nil {
		return false
	}
	second, err := semver.NewVersion(b)
	return err == nil && first.LessThan(second)
}
