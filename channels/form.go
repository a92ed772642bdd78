package channels

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
)

// form reads a posted JSON object field by field, and gathers everything that
// is wrong with it, so that a person learns it all at once.
type form struct {
	pointer  string
	fields   map[string]json.RawMessage
	problems *[]carillon.Problem
}

// newForm reads an endpoint that may have the known fields only.
func newForm(posted json.RawMessage, known ...string) form {
	return form{pointer: "/endpoint", problems: &[]carillon.Problem{}}.read(posted, known)
}

// object reads the field name as an object of its own; its problems join f's.
func (f form) object(name string, known ...string) (form, bool) {
	inner := form{pointer: f.pointer + "/" + name, problems: f.problems}
	raw, ok := f.fields[name]
	if !ok || isNull(raw) {
		return inner, false
	}
	inner = inner.read(raw, known)
	return inner, inner.fields != nil
}

func (f form) read(raw json.RawMessage, known []string) form {
	if err := json.Unmarshal(raw, &f.fields); err != nil || f.fields == nil {
		*f.problems = append(*f.problems, carillon.Problem{Pointer: f.pointer, Detail: "must be an object"})
		return f
	}
	for _, name := range slices.Sorted(maps.Keys(f.fields)) {
		if !slices.Contains(known, name) {
			f.wrong(name, "is no field of it; there are %s", strings.Join(known, ", "))
		}
	}
	return f
}

// wrong notes a problem at a path below the object.
func (f form) wrong(path, format string, args ...any) {
	*f.problems = append(*f.problems, carillon.Problem{Pointer: f.pointer + "/" + path, Detail: fmt.Sprintf(format, args...)})
}

// err returns all that is wrong, or nil.
func (f form) err() error {
	if len(*f.problems) == 0 {
		return nil
	}
	return &carillon.Error{Code: carillon.CodeInvalid, Message: "the endpoint is not valid", Problems: *f.problems}
}

// field reads a field; want says for people what it must be. A field that is
// missing, null or wrong is zero.
func field[T any](f form, name, want string) T {
	var value, zero T
	raw, ok := f.fields[name]
	if !ok || isNull(raw) {
		return zero
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		f.wrong(name, "must be %s", want)
		return zero
	}
	return value
}

// text reads a field that is a string.
func (f form) text(name string) string { return field[string](f, name, "a string") }

// required reads a field that is a string and not empty; false when it is not.
func (f form) required(name, example string) (string, bool) {
	problems := len(*f.problems)
	text := f.text(name)
	if text == "" && len(*f.problems) == problems {
		f.wrong(name, "is required, such as %s", example)
	}
	return text, text != ""
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// escape writes a name as a token of a JSON Pointer.
// https://www.rfc-editor.org/rfc/rfc6901#section-3
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// under puts the pointers of an error below at.
func under(at string, err error) error {
	if found, ok := errors.AsType[*carillon.Error](err); ok {
		for i := range found.Problems {
			found.Problems[i].Pointer = at + found.Problems[i].Pointer
		}
	}
	return err
}
