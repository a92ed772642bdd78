package channels

import (
	"encoding/json"
	"slices"

	"github.com/carillon-dev/carillon"
)

// Description is what people, forms and the API's validation are told of a
// channel.
type Description struct {
	// Name is the word that a subscription selects the channel by; Title and Text
	// are for people.
	Name, Title, Text string
	// ForPeople says that it writes messages for people: they are never sent
	// faster than a person can read.
	ForPeople bool
	// Retired says why nobody should choose it any more; empty for most.
	Retired string
	// Fields are those of its endpoints.
	Fields []Field
}

// FieldType says what a field's value is.
type FieldType string

// The types of fields. A text is one line, a long text may have several. Secrets
// is an object of secret texts by name, Object has Fields of its own, and
// Objects is a list of such.
const (
	Text     FieldType = "text"
	LongText FieldType = "long_text"
	URL      FieldType = "url"
	Integer  FieldType = "integer"
	Boolean  FieldType = "boolean"
	Duration FieldType = "duration"
	Texts    FieldType = "texts"
	Secrets  FieldType = "secrets"
	Object   FieldType = "object"
	Objects  FieldType = "objects"
)

// Field is one field of an endpoint.
type Field struct {
	Name string
	Type FieldType
	// Text says what it is for; Example is a value as it may be posted.
	Text, Example string
	Required      bool
	// Default is what a field that is left out takes, as JSON; nil for nothing.
	Default json.RawMessage
	// Values are the only ones that a text may have; nil for any.
	Values []string
	// Secret values are write-only: they are answered masked.
	Secret bool
	// ReadOnly fields are answered; posted, they mean nothing.
	ReadOnly bool
	// Template says that it may hold ${…} expressions.
	Template bool
	// Shared fields may be set once for the installation, and Moves says that the
	// field decides where the secrets go: whoever changes it must give them
	// again, and an endpoint with one of its own takes nothing shared.
	Shared, Moves bool
	// Separator, unless empty, lets texts be given as one text with it between
	// them.
	Separator string
	// Min and Max bound an integer, the length of a text in bytes, and of a list;
	// 0 is no bound, but for Min of an integer.
	Min, Max int
	// Fields are those of an object, or of each object of a list.
	Fields []Field
}

// names are those of the fields, in their order.
func names(fields []Field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.Name
	}
	return all
}

// shared returns the fields that may be set for the installation, each optional.
func shared(fields []Field) []Field {
	var some []Field
	for _, f := range fields {
		if f.Shared {
			f.Required = false
			some = append(some, f)
		}
	}
	return some
}

// described is a channel whose endpoints E are read, masked and posted back as
// its description says.
type described[E any] struct {
	about Description
	// check notes what the description cannot say, and completes the endpoint; nil
	// for nothing.
	check func(f form, e *E)
	// settings has what is set for the installation; nil for nothing.
	settings Settings
}

// Name implements [Sender].
func (d described[E]) Name() string { return d.about.Name }

// Describe implements [Sender].
func (d described[E]) Describe() Description { return d.about }

// Prepare implements [Sender]; it makes no secrets.
func (d described[E]) Prepare(posted json.RawMessage, stored carillon.Endpoint) (carillon.Endpoint, map[string]string, error) {
	f, values := fill(d.about.Fields, posted, stored)
	if values == nil {
		return nil, nil, f.err()
	}
	kept, err := json.Marshal(values)
	if err != nil {
		return nil, nil, carillon.Errorf(carillon.CodeInternal, "the endpoint cannot be written")
	}
	var endpoint E
	if err := json.Unmarshal(kept, &endpoint); err != nil {
		return nil, nil, carillon.Errorf(carillon.CodeInternal, "the endpoint cannot be read")
	}
	if d.check != nil {
		d.check(f, &endpoint)
	}
	if err := f.err(); err != nil {
		return nil, nil, err
	}
	if kept, err = json.Marshal(endpoint); err != nil {
		return nil, nil, carillon.Errorf(carillon.CodeInternal, "the endpoint cannot be written")
	}
	return kept, nil, nil
}

// Redact implements [Sender].
func (d described[E]) Redact(e carillon.Endpoint) json.RawMessage { return redact(d.about.Fields, e) }

// read reads a stored endpoint; false when it is none of this channel.
func (d described[E]) read(e carillon.Endpoint) (endpoint E, ok bool) {
	var values map[string]json.RawMessage
	if json.Unmarshal(e, &values) != nil || json.Unmarshal(e, &endpoint) != nil {
		var zero E
		return zero, false
	}
	if len(values) == 0 || len(missing(d.about.Fields, values)) > 0 {
		var zero E
		return zero, false
	}
	return endpoint, true
}

// missing returns the required fields that values lack.
func missing(fields []Field, values map[string]json.RawMessage) []Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f Field) bool { return !f.Required || !isMissing(values[f.Name]) })
}
