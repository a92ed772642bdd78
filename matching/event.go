package matching

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// Event is an event with what the rules ask of it, read once for all
// subscriptions. It is for one goroutine.
type Event struct {
	carillon.Event
	// configVersion is the configuration in force when the event was accepted.
	configVersion int64
	// cached marks a package that was only cached from elsewhere.
	cached bool
	// about is the subscription that an event of Carillon's own is about.
	about string
	// input is made when the first condition asks for it.
	input *conditions.Input
	// answers are those of conditions that were asked, as many subscriptions can
	// share one.
	answers map[*conditions.Condition]answer
}

// answer is what a condition says of the event.
type answer struct {
	ok  bool
	err error // a [*NoAnswerError]
}

// maxAnswers bounds the answers that are kept: subscriptions that share a
// condition share few.
const maxAnswers = 64

// Read reads what the rules ask of a published event.
func Read(pub *carillon.Publication) (*Event, error) {
	e := &Event{Event: pub.Event, configVersion: pub.ConfigVersion}
	var data struct {
		Cached       any `json:"cached"`
		Subscription any `json:"subscription"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("read data of event %s: %w", e.ID, syntax)
		}
		return e, nil // data that is no object has no facts
	}
	e.cached, _ = data.Cached.(bool)
	e.about, _ = data.Subscription.(string)
	return e, nil
}

// ask returns what a condition says of the event. The error is a
// [*NoAnswerError], unless the question is open.
func (e *Event) ask(ctx context.Context, c *conditions.Condition) (bool, error) {
	if known, ok := e.answers[c]; ok {
		return known.ok, known.err
	}
	input, err := e.conditionInput()
	if err != nil {
		return false, err
	}
	ok, err := c.Match(ctx, input)
	switch {
	case err != nil && ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		err = &NoAnswerError{Err: err}
	}
	if len(e.answers) < maxAnswers {
		if e.answers == nil {
			e.answers = make(map[*conditions.Condition]answer)
		}
		e.answers[c] = answer{ok, err}
	}
	return ok, err
}

func (e *Event) conditionInput() (*conditions.Input, error) {
	if e.input == nil {
		input, err := conditions.NewInput(e.Event)
		if err != nil {
			return nil, fmt.Errorf("read event %s: %w", e.ID, err)
		}
		e.input = input
	}
	return e.input, nil
}

// scored reports whether the event's data has a score. It is for explanations.
func (e *Event) scored() bool {
	var data map[string]json.RawMessage
	_ = json.Unmarshal(e.Data, &data) // data that is no object has none
	score, ok := data["score"]
	return ok && string(score) != "null"
}
