package conditions

import (
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/interpreter"
)

// functionTurn is what the count of costs sees at the begin of each turn of a
// loop. Nobody can write its name.
const functionTurn = "@turn"

// forgetTurns has the library's count of costs forget, at every turn of a loop,
// what the turn before left on its stack. It would leave two values a turn
// there until the loop ends, and go through all of them for each variable that
// is read: the time of a loop would grow by the square of its turns, which no
// count shows.
func forgetTurns(tree *ast.AST) cel.ProgramOption {
	tests := map[int64]bool{}
	for _, e := range ast.MatchDescendants(ast.NavigateAST(tree), ast.KindMatcher(ast.ComprehensionKind)) {
		tests[e.AsComprehension().LoopCondition().ID()] = true
	}
	return cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		if !tests[i.ID()] {
			return i, nil
		}
		made := turn{i, []interpreter.InterpretableV2{before{id: i.ID()}}}
		if call, ok := i.(interpreter.InterpretableCall); ok {
			made.arguments = slices.Concat(made.arguments, call.Args())
		}
		return made, nil
	})
}

// turn is the test whether a loop goes on. To the count it is a call whose
// first argument is its own result of the turn before: with its arguments, the
// count drops all that lies above them.
type turn struct {
	interpreter.InterpretableV2
	arguments []interpreter.InterpretableV2
}

// Function implements [interpreter.InterpretableCall].
func (turn) Function() string { return functionTurn }

// OverloadID implements [interpreter.InterpretableCall].
func (turn) OverloadID() string { return functionTurn }

// Args implements [interpreter.InterpretableCall].
func (t turn) Args() []interpreter.InterpretableV2 { return t.arguments }

// before stands for the result of the turn before; it is never evaluated.
type before struct {
	interpreter.InterpretableV2
	id int64
}

// ID implements [interpreter.InterpretableV2].
func (b before) ID() int64 { return b.id }
