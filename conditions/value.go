package conditions

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"github.com/carillon-dev/carillon"
)

// MaxStringBytes is the longest string of an event that a condition can read:
// a license text or a changelog, over which patterns would be slow, is longer,
// names and versions are not. A condition that reads a longer one cannot be
// evaluated; one that does not is not touched by it.
const MaxStringBytes = 8 << 10

// MaxElements is the most elements that a list, or keys that an object, of an
// event may have for a condition to read it: a loop over them takes a few
// milliseconds, and an expression can have several.
const MaxElements = 2000

// path is the place of a value in the event, for messages.
type path struct {
	parent *path
	name   string
	index  int // of a list's element, when name is empty
}

func (p *path) String() string {
	switch {
	case p.parent == nil:
		return p.name
	case p.name == "":
		return fmt.Sprintf("%s[%d]", p.parent, p.index)
	default:
		return carillon.Clip(p.parent.String()+"."+p.name, maxReasonBytes)
	}
}

// reader makes values of what an event holds.
type reader struct {
	// maxString is the longest string that can be read, in bytes.
	maxString int
}

// valueOf turns decoded JSON into a value that CEL uses as it is.
func (r reader) valueOf(value any, at path) ref.Val {
	switch v := value.(type) {
	case nil:
		return types.NullValue
	case bool:
		return types.Bool(v)
	case string:
		return r.textOf(v, at)
	case json.Number:
		return numberOf(v)
	case []any:
		if len(v) > MaxElements {
			return unreadable("%s is a list of %d elements; conditions read at most %d", &at, len(v), MaxElements)
		}
		elements := make([]ref.Val, len(v))
		for i, element := range v {
			elements[i] = r.valueOf(element, path{parent: &at, index: i})
		}
		return list{types.NewRefValList(types.DefaultTypeAdapter, elements), v}
	case map[string]any:
		result, _ := r.objectOf(v, at)
		return result
	default:
		return unreadable("%s is of a type that conditions do not know", &at)
	}
}

// objectOf returns the object's value, and its fields by name.
func (r reader) objectOf(decoded map[string]any, at path) (ref.Val, map[string]any) {
	if len(decoded) > MaxElements {
		return unreadable("%s is an object of %d keys; conditions read at most %d", &at, len(decoded), MaxElements), nil
	}
	fields := make(map[string]any, len(decoded))
	for key, value := range decoded {
		if len(key) > MaxStringBytes {
			return unreadable("%s has a key of %d bytes; conditions read at most %d", &at, len(key), MaxStringBytes), nil
		}
		fields[key] = r.valueOf(value, path{parent: &at, name: key})
	}
	return newObject(fields, decoded), fields
}

func (r reader) textOf(text string, at path) ref.Val {
	if len(text) > r.maxString {
		return unreadable("%s is a string of %d bytes; conditions read at most %d", &at, len(text), r.maxString)
	}
	return types.String(text)
}

// numberOf makes an int of what is written as one and fits, else a double;
// what no double can hold is infinite, and so still compares rightly.
func numberOf(number json.Number) ref.Val {
	if i, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
		return types.Int(i)
	}
	f, err := strconv.ParseFloat(number.String(), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return unreadable("a number of the event cannot be read")
	}
	return types.Double(f)
}

// object and list are the objects and lists of an event. Compared with each
// other as a whole they would cost as much as the event is large, whatever the
// count of costs says, so they are not.
type (
	object struct {
		traits.Mapper
		// source is what the event holds, with all digits of its numbers.
		source map[string]any
	}
	list struct {
		traits.Lister
		source []any
	}
)

func newObject(fields, source map[string]any) object {
	return object{types.NewStringInterfaceMap(types.DefaultTypeAdapter, fields), source}
}

// textsOf returns an object of strings.
func textsOf(texts map[string]string) object {
	fields, source := make(map[string]any, len(texts)), make(map[string]any, len(texts))
	for key, text := range texts {
		fields[key], source[key] = types.String(text), text
	}
	return newObject(fields, source)
}

// Iterator goes through the keys in order: the same event gives the same
// lists.
func (o object) Iterator() traits.Iterator {
	return types.NewStringList(types.DefaultTypeAdapter, slices.Sorted(maps.Keys(o.source))).Iterator()
}

// Equal implements [ref.Val].
func (o object) Equal(other ref.Val) ref.Val {
	if _, ok := other.(object); ok {
		return types.NewErr("two objects of an event cannot be compared as a whole; compare their fields")
	}
	if _, ok := other.(traits.Mapper); ok {
		// The literal of the expression goes first: it is small, and holds only
		// values that know how to compare themselves with anything.
		return other.Equal(o.Mapper)
	}
	return types.False
}

// Equal implements [ref.Val].
func (l list) Equal(other ref.Val) ref.Val {
	if _, ok := other.(list); ok {
		return types.NewErr("two lists of an event cannot be compared as a whole; use exists, all or in")
	}
	if _, ok := other.(traits.Lister); ok {
		return other.Equal(l.Lister)
	}
	return types.False
}

// Contains implements [traits.Container], which is the operator in.
func (l list) Contains(element ref.Val) ref.Val {
	switch element.(type) {
	case object, list:
		return types.NewErr("in finds strings, numbers and booleans; use exists for objects and lists")
	}
	return l.Lister.Contains(element)
}

// preset marks an error as placed: the library writes the place of its first
// use into an error that has none, and these are shared.
const preset = -1

func unreadable(format string, args ...any) ref.Val {
	return types.NewErrWithNodeID(preset, format, args...)
}

// labelSharedErrors marks the error values that the library itself shares
// between all programs, which would otherwise be written to by concurrent
// evaluations, and name a place in another condition.
var labelSharedErrors = sync.OnceFunc(func() {
	types.LabelErrNode(preset, types.NoSuchOverloadErr())
	types.LabelErrNode(preset, types.Int(math.MaxInt64).ConvertToType(types.TimestampType))
})
