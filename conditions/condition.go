package conditions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"

	"github.com/carillon-dev/carillon"
)

// Time limits of an evaluation. They are a backstop behind the cost limit,
// which counts work, not time; so an evaluation that a busy machine held up is
// given a second, longer chance before its event is lost to the subscription.
const (
	firstTimeLimit  = 50 * time.Millisecond
	secondTimeLimit = 5 * time.Second
)

// A recorded reason is short; it can quote the condition and the event.
const (
	maxReasonBytes = carillon.MaxErrorBytes
	maxQuoteBytes  = 100
)

// Condition is a compiled expression. It is safe for concurrent use.
type Condition struct {
	expression string
	program    cel.Program // nil: matches everything
	tree       *ast.AST
}

// String returns the expression as it was given.
func (c *Condition) String() string { return c.expression }

// EvaluationError says why a condition has no answer for an event: a key that
// the event does not have, a value of another type, a limit. It means no
// match.
type EvaluationError struct {
	// Reason is for people, at most [carillon.MaxErrorBytes] long. It can name
	// keys of the event's data, and quote short values.
	Reason string
	// Line and Column are where in the expression, from 1; 0 when not known.
	Line, Column int
}

func (e *EvaluationError) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Match reports whether the condition is true of the event. An
// [*EvaluationError] means that it has no answer, which is no match, and is to
// be recorded for the people whose condition it is. The only other error is
// that of ctx, when it ended before there was an answer: then the question is
// open, and to be asked again.
func (c *Condition) Match(ctx context.Context, in *Input) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("match condition: %w", err)
	}
	if c.program == nil {
		return true, nil
	}
	matched, err := c.evaluate(ctx, in, firstTimeLimit)
	if interrupted(err) && ctx.Err() == nil {
		matched, err = c.evaluate(ctx, in, secondTimeLimit)
	}
	if err == nil {
		return matched, nil
	}
	if interrupted(err) && ctx.Err() != nil {
		return false, fmt.Errorf("match condition: %w", ctx.Err())
	}
	return false, c.reason(err)
}

func (c *Condition) evaluate(ctx context.Context, in *Input, limit time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	value, _, err := c.program.ContextEval(ctx, in)
	if err != nil {
		return false, err
	}
	matched, ok := value.(types.Bool)
	if !ok {
		return false, errors.New("the result is neither true nor false")
	}
	return bool(matched), nil
}

func interrupted(err error) bool { return errors.Is(err, interpreter.InterruptError{}) }

// reason writes an evaluation's error for people.
func (c *Condition) reason(err error) *EvaluationError {
	if interrupted(err) {
		return &EvaluationError{Reason: fmt.Sprintf("the condition took longer than %s", secondTimeLimit)}
	}
	var canceled interpreter.EvalCancelledError
	if errors.As(err, &canceled) && canceled.Cause == interpreter.CostLimitExceeded {
		return &EvaluationError{Reason: fmt.Sprintf("the condition is too expensive for this event: over the cost limit of %d", costLimit)}
	}
	result := &EvaluationError{Reason: err.Error()}
	var failed *types.Err
	if errors.As(err, &failed) && failed.NodeID() > 0 {
		result.Line, result.Column = place(c.tree.SourceInfo().GetStartLocation(failed.NodeID()))
		if text, ok := c.quote(failed.NodeID()); ok {
			result.Reason = text + ": " + result.Reason
		}
	}
	result.Reason = carillon.Clip(result.Reason, maxReasonBytes)
	return result
}

// quote returns the part of the expression with the id, where it is a value
// out of the event or a call.
func (c *Condition) quote(id int64) (string, bool) {
	found := ast.MatchDescendants(ast.NavigateAST(c.tree), func(e ast.NavigableExpr) bool { return e.ID() == id })
	if len(found) == 0 || (found[0].Kind() != ast.SelectKind && found[0].Kind() != ast.CallKind) {
		return "", false
	}
	text, err := cel.ExprToString(found[0], c.tree.SourceInfo())
	// What a macro made of the expression has names that nobody wrote.
	if err != nil || strings.Contains(text, "@") && !strings.Contains(c.expression, "@") {
		return "", false
	}
	return carillon.Clip(text, maxQuoteBytes), true
}

func programOptions(tree *ast.AST) []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.CostTracking(costsOf(tree)),
		cel.CostLimit(costLimit),
		// Between two looks at the clock at most this many elements of a list:
		// each can cost a pattern over a long string.
		cel.InterruptCheckFrequency(10),
		cel.OptimizeRegex(readOnce()...),
		forgetTurns(tree),
	}
}
