package conditions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/formats"
)

// bombGround is where bombs are tried: what compiles conditions and templates.
type bombGround struct {
	conditions *conditions.Environment
	templates  *conditions.Templates
}

func newBombGround() (*bombGround, error) {
	env, err := conditions.New()
	if err != nil {
		return nil, err
	}
	templates, err := conditions.LoadTemplates()
	return &bombGround{conditions: env, templates: templates}, err
}

// errUnbounded is what no bomb may do.
var errUnbounded = errors.New("what it made is larger than allowed")

// explode compiles the bomb, as far as that goes, and runs it over the event. It
// returns what came of it, and why.
func (g *bombGround) explode(b bomb, event carillon.Event) (got, why string) {
	made, err := g.run(b, event)
	var condition *conditions.EvaluationError
	var template *conditions.RenderError
	switch {
	case err == nil:
		return "bounded", fmt.Sprintf("%.60s", made)
	case carillon.CodeOf(err) == carillon.CodeInvalid:
		return "refused", err.Error()
	case errors.As(err, &condition), errors.As(err, &template):
		return "stopped", err.Error()
	default:
		return "failed", err.Error()
	}
}

func (g *bombGround) run(b bomb, event carillon.Event) (made string, err error) {
	switch {
	case b.Expression != "":
		return g.match(b.Expression, event)
	case b.Match != nil:
		var fields carillon.Match
		text, err := json.Marshal(b.Match)
		if err == nil {
			err = json.Unmarshal(text, &fields)
		}
		if err == nil {
			err = conditions.CheckMatch(fields)
		}
		if err != nil {
			return "", err
		}
		return g.match(conditions.Effective(fields, ""), event)
	case b.Template != "":
		return g.template(b.source(), event)
	case b.URL != "":
		return g.url(b.URL, event)
	case b.OtterScript != "":
		imported, err := formats.ImportProGet(b.OtterScript, "")
		if err != nil {
			return "", err
		}
		// It is answered as JSON.
		text, err := json.Marshal(imported)
		return bounded(string(text), err)
	case b.Predicate != "":
		expression, unconverted := formats.ImportProGetPredicate(b.Predicate)
		if len(unconverted) > 0 {
			return "", carillon.Invalid("/predicate", "%s", unconverted[0].Why)
		}
		return g.match(expression, event)
	default:
		return "", errors.New("the bomb has neither an expression nor any other of them")
	}
}

func (g *bombGround) match(expression string, event carillon.Event) (string, error) {
	condition, err := g.conditions.Compile(expression)
	if err != nil {
		return "", err
	}
	input, err := conditions.NewInput(event)
	if err != nil {
		return "", err
	}
	matched, err := condition.Match(context.Background(), input)
	return strconv.FormatBool(matched), err
}

// save checks a template against the whole catalog, as that of a subscription
// to everything is when it is saved. What it finds does not count: the events
// here have fields that no type has.
func (g *bombGround) save(b bomb) {
	everyType := []string{"*"}
	switch {
	case b.Template != "":
		_, _ = g.templates.Compile(b.source(), everyType)
	case b.URL != "":
		_, _ = g.templates.CompileURL(b.URL, everyType)
	}
}

func (b bomb) source() conditions.Source {
	mode := conditions.Mode(b.Mode)
	if mode == "" {
		mode = conditions.Text
	}
	return conditions.Source{Text: b.Template, Mode: mode}
}

func (g *bombGround) template(source conditions.Source, event carillon.Event) (string, error) {
	template, err := g.templates.Compile(source, nil)
	if err != nil {
		return "", err
	}
	input, err := conditions.NewTemplateInput(event)
	if err != nil {
		return "", err
	}
	made, err := template.Render(context.Background(), input)
	return bounded(string(made), err)
}

func (g *bombGround) url(text string, event carillon.Event) (string, error) {
	template, err := g.templates.CompileURL(text, nil)
	if err != nil {
		return "", err
	}
	input, err := conditions.NewTemplateInput(event)
	if err != nil {
		return "", err
	}
	return bounded(template.Render(context.Background(), input))
}

func bounded(made string, err error) (string, error) {
	if err == nil && len(made) > conditions.MaxRenderedBytes {
		return "", errUnbounded
	}
	return made, err
}

// bombEvent is of a type without a schema of its own, so that it can have any
// data.
func bombEvent(data string) carillon.Event {
	return carillon.Event{
		Type: "package.added", Source: "registry.example.com", Actor: "mallory",
		Time: time.Unix(1e9, 0), Data: json.RawMessage(data),
	}
}
