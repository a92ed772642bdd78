package conditions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"

	"github.com/carillon-dev/carillon"
)

// MaxRenderedBytes is the largest payload that a template can make: as large as
// the largest event.
const MaxRenderedBytes = carillon.MaxEventBytes

var errTooLarge = fmt.Errorf("the result is larger than %d KiB", MaxRenderedBytes>>10)

// output gathers what a template writes, up to the limit.
type output struct{ bytes.Buffer }

func (o *output) text(s string) error {
	if o.Len()+len(s) > MaxRenderedBytes {
		return errTooLarge
	}
	o.WriteString(s)
	return nil
}

// json writes a value as JSON, its strings first through escape, if there is
// one.
func (o *output) json(value any, escape func(string) string) error {
	switch v := value.(type) {
	case nil, types.Null:
		return o.text("null")
	case types.Bool:
		return o.json(bool(v), nil)
	case bool:
		return o.text(map[bool]string{true: "true", false: "false"}[v])
	case json.Number:
		return o.text(v.String())
	case string:
		return o.quoted(v, escape)
	case types.String:
		return o.quoted(string(v), escape)
	case map[string]any:
		return o.object(slices.Sorted(maps.Keys(v)), func(key string) any { return v[key] }, escape)
	case []any:
		return o.list(len(v), func(i int) any { return v[i] }, escape)
	case object:
		return o.json(v.source, escape)
	case list:
		return o.json(v.source, escape)
	case orderedMap:
		return o.object(v.keys, func(key string) any { return v.Get(types.String(key)) }, escape)
	case traits.Lister:
		n, _ := v.Size().(types.Int)
		return o.list(int(n), func(i int) any { return v.Get(types.Int(i)) }, escape)
	case ref.Val:
		text, err := plainText(v)
		if err != nil {
			return err
		}
		switch v.(type) {
		case types.Int, types.Uint, types.Double:
			return o.text(text)
		}
		return o.quoted(text, escape)
	default:
		return errors.New("a value of the event is of a type that templates do not know")
	}
}

func (o *output) quoted(s string, escape func(string) string) error {
	if o.Len()+len(s) > MaxRenderedBytes {
		return errTooLarge
	}
	if escape != nil {
		s = escape(s)
	}
	return o.text(quote(s))
}

// quote writes a string as JSON does, "<" as it is: receivers compare payloads
// with what was published.
func quote(s string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		panic(err) // a string can always be written
	}
	return string(bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}

// unquoted is what stands between the quotes of a string in JSON.
func unquoted(s string) string {
	quoted := quote(s)
	return quoted[1 : len(quoted)-1]
}

func (o *output) object(keys []string, get func(string) any, escape func(string) string) error {
	if err := o.text("{"); err != nil {
		return err
	}
	for i, key := range keys {
		if i > 0 {
			if err := o.text(","); err != nil {
				return err
			}
		}
		if err := o.quoted(key, escape); err != nil {
			return err
		}
		if err := o.text(":"); err != nil {
			return err
		}
		if err := o.json(get(key), escape); err != nil {
			return err
		}
	}
	return o.text("}")
}

func (o *output) list(n int, get func(int) any, escape func(string) string) error {
	if err := o.text("["); err != nil {
		return err
	}
	for i := range n {
		if i > 0 {
			if err := o.text(","); err != nil {
				return err
			}
		}
		if err := o.json(get(i), escape); err != nil {
			return err
		}
	}
	return o.text("]")
}

// plainText is a value as a text has it: nothing for null, lists and objects as
// JSON.
func plainText(value any) (string, error) {
	switch v := value.(type) {
	case types.Null:
		return "", nil
	case types.String:
		return string(v), nil
	case json.Number:
		return v.String(), nil
	case types.Bool:
		return strconv.FormatBool(bool(v)), nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), nil
	case types.Double:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return "", errors.New("a number is not finite and cannot be written")
		}
		text, err := json.Marshal(float64(v))
		return string(text), err
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339Nano), nil
	case types.Duration:
		return carillon.Duration(v.Duration).String(), nil
	case *types.Err:
		return "", v
	case traits.Lister, traits.Mapper:
		out := &output{}
		err := out.json(v, nil)
		return out.String(), err
	default:
		return "", errors.New("a value cannot be written")
	}
}

// orderedMap is a map that the expression writes, with its keys in that order.
type orderedMap struct {
	traits.Mapper
	keys []string
}

// Iterator goes through the keys in order.
func (m orderedMap) Iterator() traits.Iterator {
	return types.NewStringList(types.DefaultTypeAdapter, m.keys).Iterator()
}

// orderedConstructor makes orderedMaps.
type orderedConstructor struct {
	interpreter.InterpretableConstructor
	keys []string
}

// Exec implements [interpreter.InterpretableV2].
func (c orderedConstructor) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := c.InterpretableConstructor.Exec(frame)
	if made, ok := value.(traits.Mapper); ok {
		return orderedMap{made, c.keys}
	}
	return value
}

// Eval implements [interpreter.Interpretable].
func (c orderedConstructor) Eval(in interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(in))
}

// keepOrder has maps remember the order in which they are written.
func keepOrder(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	constructor, ok := i.(interpreter.InterpretableConstructor)
	if !ok || constructor.Type() != types.MapType {
		return i, nil
	}
	var keys []string
	for n, part := range constructor.InitVals() {
		if n%2 == 1 {
			continue
		}
		// That keys are texts is one of the rules.
		if constant, ok := part.(interpreter.InterpretableConst); ok {
			if key, ok := constant.Value().(types.String); ok {
				keys = append(keys, string(key))
			}
		}
	}
	return orderedConstructor{constructor, keys}, nil
}
