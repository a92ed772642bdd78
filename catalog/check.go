package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/carillon-dev/carillon"
)

// maxProblems bounds an answer: data that breaks more rules than this is
// wrong as a whole, and a list of thousands helps nobody.
const maxProblems = 20

// CheckData checks the event's data against its type's schema. It returns a
// [carillon.CodeInvalid] error with a problem for each violation, at most 20,
// whose pointers begin with "/data"; and [Catalog.CheckType]'s error when
// the type is not known.
func (c *Catalog) CheckData(e carillon.Event) error {
	t, ok := c.byName[e.Type]
	if !ok {
		return c.CheckType(e.Type)
	}
	data, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
	if err != nil {
		return carillon.Invalid("/data", "must be a JSON object")
	}
	err = t.compiled.Validate(data)
	if err == nil {
		return nil
	}
	violation, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return fmt.Errorf("check data of %s: %w", e.Type, err)
	}
	problems := describe(nil, violation)
	// A field can break the same rule by way of two definitions; and the
	// validator goes through objects in no order.
	slices.SortFunc(problems, func(a, b carillon.Problem) int {
		return strings.Compare(a.Pointer+"\x00"+a.Detail, b.Pointer+"\x00"+b.Detail)
	})
	problems = slices.Compact(problems)
	return &carillon.Error{
		Code:     carillon.CodeInvalid,
		Message:  "the data is not as " + e.Type + " has it",
		Problems: problems[:min(len(problems), maxProblems)],
	}
}

// describe appends the problems of a violation, which are at the leaves of its
// tree of causes.
func describe(problems []carillon.Problem, v *jsonschema.ValidationError) []carillon.Problem {
	if len(v.Causes) > 0 {
		for _, cause := range v.Causes {
			problems = describe(problems, cause)
		}
		return problems
	}
	at := pointer(v.InstanceLocation)
	switch k := v.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			problems = append(problems, carillon.Problem{
				Pointer: at + pointerEscape(name), Detail: "is required",
			})
		}
		return problems
	case *kind.Type:
		return append(problems, carillon.Problem{
			Pointer: at, Detail: fmt.Sprintf("must be %s, not %s", oneOf(k.Want), k.Got),
		})
	default:
		text := v.ErrorKind.LocalizedString(message.NewPrinter(language.English))
		// The text can quote the value, which is of any length.
		return append(problems, carillon.Problem{Pointer: at, Detail: carillon.Clip(text, carillon.MaxErrorBytes)})
	}
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// pointer writes the place in the data as a JSON Pointer (RFC 6901) into the
// event.
func pointer(location []string) string {
	var out strings.Builder
	out.WriteString("/data")
	for _, token := range location {
		out.WriteString(pointerEscape(token))
	}
	return out.String()
}

func pointerEscape(token string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}
