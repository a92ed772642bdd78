package conditions

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/carillon-dev/carillon"
)

// Input is an event as conditions see it. It is made once and shared by all
// conditions of the event; it is safe for concurrent use.
type Input struct {
	variables map[string]any
	// data is the event's as it was published, with all digits.
	data map[string]any
}

// NewInput reads the event's data. It fails, with a [carillon.Error] of
// [carillon.CodeInvalid], where the data is no JSON object, larger than
// [carillon.MaxEventBytes] or deeper than [carillon.MaxJSONDepth]: no event
// that the API took is. No data at all is an empty object.
func NewInput(e carillon.Event) (*Input, error) {
	return reader{maxString: MaxStringBytes}.input(e)
}

// NewTemplateInput reads an event for templates, which write long texts, too.
// Its errors are those of [NewInput].
func NewTemplateInput(e carillon.Event) (*Input, error) {
	return reader{maxString: carillon.MaxEventBytes}.input(e)
}

func (r reader) input(e carillon.Event) (*Input, error) {
	data, err := decode(e.Data)
	if err != nil {
		return nil, err
	}
	root, fields := r.objectOf(data, path{name: "data"})
	scope, scopeSource := make(map[string]any, len(e.Scope)), make(map[string]any, len(e.Scope))
	for key, value := range e.Scope {
		scope[key] = r.textOf(value, path{parent: &path{name: "scope"}, name: key})
		scopeSource[key] = value
	}
	return &Input{data: data, variables: map[string]any{
		"type":    r.textOf(e.Type, path{name: "type"}),
		"source":  r.textOf(e.Source, path{name: "source"}),
		"actor":   r.textOf(e.Actor, path{name: "actor"}),
		"subject": r.textOf(e.Subject, path{name: "subject"}),
		"time":    types.Timestamp{Time: e.Time.UTC()},
		"scope":   newObject(scope, scopeSource),
		"data":    root,
		"pkg":     packageOf(e, fields),
	}}, nil
}

// ResolveName implements [cel.Activation].
func (in *Input) ResolveName(name string) (any, bool) {
	value, ok := in.variables[name]
	return value, ok
}

// Parent implements [cel.Activation].
func (in *Input) Parent() cel.Activation { return nil }

func decode(raw json.RawMessage) (map[string]any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if len(raw) > carillon.MaxEventBytes {
		return nil, carillon.Invalid("/data", "has %d bytes; at most %d are allowed", len(raw), carillon.MaxEventBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, carillon.Invalid("/data", "is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, carillon.Invalid("/data", "is more than one JSON value")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, carillon.Invalid("/data", "must be a JSON object")
	}
	if deeper(object, carillon.MaxJSONDepth) {
		return nil, carillon.Invalid("/data", "is nested deeper than %d levels", carillon.MaxJSONDepth)
	}
	return object, nil
}

// deeper reports whether the value has more levels of objects and lists than
// allowed.
func deeper(value any, allowed int) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, element := range v {
			if allowed == 0 || deeper(element, allowed-1) {
				return true
			}
		}
		return allowed == 0
	case []any:
		for _, element := range v {
			if allowed == 0 || deeper(element, allowed-1) {
				return true
			}
		}
		return allowed == 0
	default:
		return false
	}
}
