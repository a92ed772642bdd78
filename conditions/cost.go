package conditions

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Cost is counted so that one unit is about a quarter of a microsecond at
// worst, and the limit about 25 ms.
const (
	costLimit = 100_000
	// Bytes a unit, for calls that read their strings once.
	bytesPerUnit = 64
	// Steps a unit, for matches (bytes × program) and glob (bytes × pattern).
	stepsPerUnit = 32
	// The library makes a rune slice, four times as large, to count a string.
	sizeBytesPerUnit = 16
	// A time zone by name is read from the zone database at every call.
	timeZoneUnits = 200
)

// costs charges every call by the sizes it saw. The library's own count goes
// by the overload the checker chose, which for values out of data is none.
type costs struct {
	// programs has the program size of each regular expression of the condition.
	programs map[string]int
}

func costsOf(tree *ast.AST) costs {
	programs := map[string]int{}
	for _, e := range ast.MatchDescendants(ast.NavigateAST(tree), ast.FunctionMatcher(overloads.Matches)) {
		arguments := e.AsCall().Args()
		if pattern, ok := literal(arguments[len(arguments)-1]); ok {
			if size, err := regexSize(pattern); err == nil {
				programs[pattern] = size
			}
		}
	}
	return costs{programs: programs}
}

// CallCost implements [interpreter.ActualCostEstimator].
func (c costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	units := 1
	switch function {
	case overloads.Matches:
		if pattern, ok := args[1].(types.String); ok {
			units += bytesOf(args[0]) * c.programs[string(pattern)] / stepsPerUnit
		}
	case functionGlob:
		// A longer pattern is an error, found before any step; of a call in
		// either form one argument is the pattern.
		short, long := min(bytesOf(args[0]), bytesOf(args[1])), max(bytesOf(args[0]), bytesOf(args[1]))
		units += min(short, MaxPatternBytes) * long / stepsPerUnit
	case operators.In:
		if list, ok := args[1].(traits.Lister); ok {
			if n, ok := list.Size().(types.Int); ok {
				units += int(n)
			}
		}
	case functionJoin, functionJSON, overloads.TypeConvertString:
		units += written(args[0], result)
	case overloads.Size:
		units += bytesOf(args[0]) / sizeBytesPerUnit
	case overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear, overloads.TimeGetDayOfMonth,
		overloads.TimeGetDate, overloads.TimeGetDayOfWeek, overloads.TimeGetHours, overloads.TimeGetMinutes,
		overloads.TimeGetSeconds, overloads.TimeGetMilliseconds:
		if len(args) > 1 {
			units += timeZoneUnits
		}
	default:
		for _, arg := range args {
			units += bytesOf(arg) / bytesPerUnit
		}
	}
	total := uint64(units)
	return &total
}

// written is what it took to write a value as a text. That of a list or an
// object that failed may have gone up to the limit.
func written(value, result ref.Val) int {
	units := 0
	list, isList := value.(traits.Lister)
	if isList {
		n, _ := list.Size().(types.Int)
		units = int(n)
	}
	if _, isObject := value.(traits.Mapper); (isList || isObject) && types.IsError(result) {
		return units + MaxRenderedBytes/bytesPerUnit
	}
	return units + max(bytesOf(value), bytesOf(result))/bytesPerUnit
}

func bytesOf(value ref.Val) int {
	switch v := value.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	default:
		return 0
	}
}
