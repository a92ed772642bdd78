package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
)

// nonFieldErrors is where Django REST framework puts what is wrong with no
// field alone.
const nonFieldErrors = "non_field_errors"

// drfPrefix begins the pointer of a problem whose field is a product's own.
const drfPrefix = "/-/"

// fieldErrors are what is wrong with each field, in Django REST framework's
// words.
// https://www.django-rest-framework.org/api-guide/fields/
type fieldErrors map[string][]string

func (f fieldErrors) wrong(field, detail string) { f[field] = append(f[field], detail) }

// done returns the errors as one, with pointers that the face reads back.
func (f fieldErrors) done() error {
	if len(f) == 0 {
		return nil
	}
	e := &carillon.Error{Code: carillon.CodeInvalid, Message: "the input is not valid"}
	for _, field := range sortedKeys(f) {
		for _, detail := range f[field] {
			e.Problems = append(e.Problems, carillon.Problem{Pointer: drfPrefix + field, Detail: detail})
		}
	}
	return e
}

// readDRFText reads a text; nil when it is not given.
func readDRFText(given map[string]json.RawMessage, name string, required, blank bool) (text *string, problem string) {
	raw, ok := given[name]
	if !ok {
		if required {
			return nil, "This field is required."
		}
		return nil, ""
	}
	if string(raw) == "null" {
		if blank {
			return new(string), ""
		}
		return nil, "This field may not be null."
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, "Not a valid string."
	}
	if !blank && strings.TrimSpace(*text) == "" {
		return nil, "This field may not be blank."
	}
	return text, ""
}

// readDRFList reads a list; nil when it is not given.
func readDRFList[T comparable](given map[string]json.RawMessage, name, what string, required bool) (list []T, problem string) {
	raw, ok := given[name]
	switch {
	case !ok && required:
		return nil, "This field is required."
	case !ok:
		return nil, ""
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return nil, fmt.Sprintf("Expected a list of items but got type %q.", pythonType(raw))
	}
	list = []T{}
	for _, item := range items {
		var value T
		if err := json.Unmarshal(item, &value); err != nil || string(item) == "null" {
			return nil, fmt.Sprintf("A valid %s is required.", what)
		}
		if !slices.Contains(list, value) {
			list = append(list, value)
		}
	}
	return list, ""
}

// pythonType is what Python calls the type of a JSON value.
func pythonType(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "str"
	case '{':
		return "dict"
	case 't', 'f':
		return "bool"
	case 'n':
		return "NoneType"
	default:
		return "int"
	}
}
